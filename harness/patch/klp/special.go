// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// early are the tables that the loader goes through while it loads the
// module. A relocation by a symbol of a module to be patched is applied only
// with that module, which may be much later: then these would have been read
// with nothing in them. Sources: find_module_sections() in
// kernel/module/main.c, module_finalize() in arch/x86/kernel/module.c.
var early = map[string]struct {
	code refusal.Code
	what string
}{
	"__jump_table":               {refusal.StaticKey, "a static key"},
	".static_call_sites":         {refusal.StaticCall, "a static call"},
	".altinstructions":           {refusal.Special, "an alternative"},
	".altinstr_replacement":      {refusal.Special, "an alternative"},
	".parainstructions":          {refusal.Special, "a paravirt call"},
	"__bug_table":                {refusal.Special, "a WARN or BUG"},
	"__ex_table":                 {refusal.Special, "an exception handler"},
	".smp_locks":                 {refusal.Special, "a lock prefix"},
	".retpoline_sites":           {refusal.Special, "a retpoline"},
	".return_sites":              {refusal.Special, "a return thunk"},
	".call_sites":                {refusal.Special, "a call thunk"},
	".ibt_endbr_seal":            {refusal.Special, "an endbr64"},
	".orc_unwind_ip":             {refusal.Special, "an unwind table"},
	"__mcount_loc":               {refusal.Special, "a fentry site"},
	"__tracepoints_ptrs":         {refusal.Special, "a tracepoint"},
	"__bpf_raw_tp_map":           {refusal.Special, "a tracepoint"},
	"_ftrace_events":             {refusal.Special, "a trace event"},
	"__kcrctab":                  {refusal.Special, "an export"},
	"__ksymtab":                  {refusal.Special, "an export"},
	"__ksymtab_gpl":              {refusal.Special, "an export"},
	"__param":                    {refusal.Special, "a parameter"},
	"_error_injection_whitelist": {refusal.Special, "error injection"},
}

// judge refuses what livepatch would complete too late.
func (b *builder) judge(o *object.Object) error {
	alternatives := rewritten(o)
	var all *multierror.Error
	for _, t := range o.Tables {
		owner := appliedWith(t)
		if owner == VMLinux { // applied before the loader looks at anything
			continue
		}
		table, isEarly := early[t.Target.Name]
		for _, r := range t.Relocs {
			name := plainName(r.Symbol.Name)
			switch {
			case isEarly:
				all = multierror.Append(all, &refusal.Refusal{Code: table.code, Function: siteOf(o, t.Target, r.Offset), Release: b.kit.Release,
					Text:   fmt.Sprintf("%s refers to %s of the module %s, which need not be there when the live patch is loaded", table.what, name, owner),
					Advice: advice[table.code]})
			case strings.HasPrefix(t.Target.Name, ".init."):
				all = multierror.Append(all, &refusal.Refusal{Code: refusal.InitExit, Function: siteOf(o, t.Target, r.Offset), Release: b.kit.Release,
					Text: fmt.Sprintf("%s refers to %s of the module %s, and is gone when that one is patched", t.Target.Name, name, owner)})
			case alternatives.covers(t.Target, r.Offset):
				all = multierror.Append(all, &refusal.Refusal{Code: refusal.Special, Function: siteOf(o, t.Target, r.Offset), Release: b.kit.Release,
					Text: fmt.Sprintf("an alternative instruction refers to %s of the module %s, and the kernel rewrites it before that one is patched", name, owner)})
			}
		}
	}
	return all.ErrorOrNil()
}

var advice = map[refusal.Code]string{
	refusal.StaticKey:  "ask with static_key_enabled() instead of static_branch_likely() or _unlikely() in the changed function",
	refusal.StaticCall: "call by static_call_query() in the changed function",
}
