# SPDX-License-Identifier: Apache-2.0
"""gdb in a Linux kernel with live patches.

Unwinds kernel stacks by the kernel's own ORC tables, which a kernel without
debugging information has as well (Documentation/arch/x86/orc-unwinder.rst,
arch/x86/kernel/unwind_orc.c), and adds the commands `switchyard tasks`,
`switchyard stack PID` and `switchyard patches`. Everything is read through the
kernel's own types, so what differs between versions is told by them.
"""

import gdb
import gdb.unwinder
import struct

KERNEL_HALF = 1 << 63
MASK = (1 << 64) - 1
MOST = 1 << 16  # entries of a list that are followed: memory may be broken
TASK_COMM_LEN = 16


def read(address, size):
    return gdb.selected_inferior().read_memory(address & MASK, size).tobytes()


def word(address):
    return struct.unpack("<Q", read(address, 8))[0]


def symbol(name):
    """The address of a symbol of the kernel; None without it."""
    try:
        return int(gdb.parse_and_eval("&'%s'" % name)) & MASK
    except gdb.error:
        return None


def kernel_type(name):
    return gdb.lookup_type("struct " + name)


def has(type_name, field):
    return any(f.name == field for f in kernel_type(type_name).fields())


def offset_of(type_name, field):
    for f in kernel_type(type_name).fields():
        if f.name == field:
            return f.bitpos // 8
    raise gdb.GdbError("struct %s has no %s" % (type_name, field))


def at(type_name, address):
    return gdb.Value(address & MASK).cast(kernel_type(type_name).pointer()).dereference()


def walk(head, type_name, field):
    """The structs of a list; a list that does not end is cut off."""
    offset = offset_of(type_name, field)
    one = word(head)
    for _ in range(MOST):
        if one == head or one < KERNEL_HALF:
            return
        yield at(type_name, one - offset)
        one = word(one)


def text(value, most=64):
    raw = bytes(int(value[i]) & 0xFF for i in range(min(most, value.type.range()[1] + 1)))
    return raw.split(b"\0")[0].decode("utf-8", "replace")


def string(pointer, most=128):
    return read(int(pointer), most).split(b"\0")[0].decode("utf-8", "replace")


def place(address):
    """An address as the kernel would print it."""
    said = gdb.execute("info symbol %#x" % address, to_string=True)
    if said.startswith("No symbol"):
        return "%#x" % address
    return said.split(" in section")[0].replace(" + ", "+").strip()


class Orc:
    """The ORC tables of the kernel and of its modules."""

    # ORC_REG_…, which were numbered anew with 7.1: by the number of SP, which
    # describes the first instruction of any function.
    registers = {
        5: {"prev_sp": 1, "dx": 2, "di": 3, "bp": 4, "sp": 5, "r10": 6, "r13": 7, "bp_indirect": 8, "sp_indirect": 9},
        3: {"dx": 2, "sp": 3, "bp": 4, "di": 5, "r10": 6, "r13": 7, "prev_sp": 8, "sp_indirect": 9, "bp_indirect": 10},
    }

    def __init__(self):
        t = kernel_type("orc_entry")
        self.entry = t.sizeof
        self.bits = {f.name: (f.bitpos, f.bitsize or f.type.sizeof * 8) for f in t.fields()}
        # 6.4 (fb799447ae29) put two types in front and dropped `end`.
        first = 0 if "end" in self.bits else 2
        self.call, self.regs, self.partial = first, first + 1, first + 2
        self.ip = symbol("__start_orc_unwind_ip")
        self.stop = symbol("__stop_orc_unwind_ip")
        self.tables = symbol("__start_orc_unwind")
        self.names = {}
        first = self.find(symbol("schedule"))
        if first is not None:
            self.names = {number: name for name, number in self.registers.get(first["sp_reg"], {}).items()}

    def modules(self):
        for mod in walk(symbol("modules"), "module", "list"):
            if has("module", "mem"):
                layout = mod["mem"][0]  # MOD_TEXT
            else:
                layout = mod["core_layout"]
            base = int(layout["base"]) & MASK
            yield base, base + int(layout["size"]), mod["arch"]

    def find(self, pc):
        """The entry for pc, as a dict; None without one."""
        for start, end, arch in self.modules():
            if start <= pc < end:
                n = int(arch["num_orcs"])
                return self.search(pc, int(arch["orc_unwind_ip"]) & MASK, n, int(arch["orc_unwind"]) & MASK)
        if self.ip is None:
            return None  # a kernel without ORC
        pc = self.within_trampoline(pc)
        return self.search(pc, self.ip, (self.stop - self.ip) // 4, self.tables)

    def within_trampoline(self, pc):
        """pc, or the place in ftrace's own code that the trampoline at pc is a
        copy of (orc_ftrace_find)."""
        head = symbol("ftrace_ops_list")
        ops = word(head) if head is not None else 0
        for _ in range(MOST):
            if ops < KERNEL_HALF or ops == symbol("ftrace_list_end"):
                break
            one = at("ftrace_ops", ops)
            start = int(one["trampoline"]) & MASK
            if start and start <= pc < start + int(one["trampoline_size"]):
                regs = int(one["flags"]) & int(gdb.parse_and_eval("FTRACE_OPS_FL_SAVE_REGS"))
                return symbol("ftrace_regs_caller" if regs else "ftrace_caller") + pc - start
            ops = int(one["next"]) & MASK
        return pc

    def search(self, pc, ips, n, entries):
        low, high = 0, n
        while low < high:  # the first that begins behind pc
            middle = (low + high) // 2
            where = ips + 4 * middle
            if where + struct.unpack("<i", read(where, 4))[0] <= pc:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return None
        raw = int.from_bytes(read(entries + self.entry * (low - 1), self.entry), "little")
        out = {}
        for name, (at_bit, size) in self.bits.items():
            v = raw >> at_bit & (1 << size) - 1
            if name.endswith("_offset") and v >> size - 1:
                v -= 1 << size
            out[name] = v
        return out

    def step(self, pc, sp, bp, exact, register):
        """One frame up: (pc, sp, bp, exact), or None at the end."""
        e = self.find(pc if exact else pc - 1)
        if e is None:
            return None
        if e.get("end") or self.call == 2 and e["type"] == 1:  # ORC_TYPE_END_OF_STACK
            return 0, sp, bp, True
        reg, off = self.names.get(e["sp_reg"]), e["sp_offset"]
        if reg == "sp":
            new = sp + off
        elif reg == "bp":
            new = bp + off
        elif reg == "sp_indirect":
            new = word(sp) + off
        elif reg == "bp_indirect":
            new = word(bp + off)
        elif reg is not None and register is not None:  # the innermost frame alone is sure of it
            new = register(reg if reg[0] == "r" else "r" + reg)
        else:
            return None
        if e["type"] == self.call:
            up = (word(new - 8), new, False)
        elif e["type"] == self.regs:
            saved = lambda field: word(new + offset_of("pt_regs", field))
            up = (saved("ip"), saved("sp"), True)
            if e["bp_reg"] == 0:
                bp = saved("bp")
        elif e["type"] == self.partial:
            up = (word(new), word(new + 24), True)
        else:
            return None
        reg = self.names.get(e["bp_reg"])
        if reg == "prev_sp":
            bp = word(new + e["bp_offset"])
        elif reg == "bp":
            bp = word(bp + e["bp_offset"])
        pc, sp, exact = up
        return pc, sp & MASK, bp & MASK, exact


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class OrcUnwinder(gdb.unwinder.Unwinder):
    def __init__(self):
        super().__init__("switchyard-orc")
        self.orc = None
        # What the frame below found out of one, by its (pc, sp): whether pc is
        # exact, the identity of the one below, and how far identities on this
        # stack are shifted.
        self.above = {}

    def __call__(self, frame):
        long = gdb.lookup_type("unsigned long")
        get = lambda name: int(frame.read_register(name).cast(long)) & MASK
        pc, sp = get("rip"), get("rsp")
        if pc < KERNEL_HALF:
            return None
        try:
            if self.orc is None:
                self.orc = Orc()
            inmost = hasattr(frame, "level") and frame.level() == 0
            exact, below, shift = (True, 0, 0) if inmost else self.above.get((pc, sp), (False, 0, 0))
            up = self.orc.step(pc, sp, get("rbp"), exact, get)
        except (gdb.error, TypeError):
            return None  # no tables, or a stack that is none
        if up is None:
            return None
        # gdb takes a frame for a corrupt one that lies lower than the one it
        # called. An interrupt's stack may lie above the task's: what is behind
        # such a switch counts on from where it was.
        shift = max(shift, below - up[1])
        here = up[1] + shift
        info = frame.create_unwind_info(FrameId(gdb.Value(here & MASK).cast(long), gdb.Value(pc).cast(long)))
        for name, value in (("rip", up[0]), ("rsp", up[1]), ("rbp", up[2])):
            info.add_saved_register(name, gdb.Value(value).cast(frame.read_register(name).type))
        self.above[up[0], up[1]] = up[3], here, shift
        return info


gdb.unwinder.register_unwinder(None, OrcUnwinder(), replace=True)


def threads():
    """All tasks but the idle ones of other CPUs."""
    init = symbol("init_task")
    yield at("task_struct", init)
    for leader in walk(init + offset_of("task_struct", "tasks"), "task_struct", "tasks"):
        head = int(leader["signal"]) + offset_of("signal_struct", "thread_head")
        for task in walk(head & MASK, "task_struct", "thread_node"):
            yield task


def state(task):
    s = int(task["__state" if has("task_struct", "__state") else "state"])
    for bit, letter in ((2, "D"), (1, "S"), (4, "T"), (8, "t")):
        if s & bit:
            return "I" if letter == "D" and s & 0x400 else letter
    return "R" if s == 0 else "%#x" % s


def transition():
    """The patch in transition and the patch_state it leads to; None without."""
    where = symbol("klp_transition_patch")
    if where is None or word(where) == 0:
        return None, None
    patch = at("klp_patch", word(where))
    target = symbol("klp_target_state")
    return patch, struct.unpack("<i", read(target, 4))[0]


class Switchyard(gdb.Command):
    """Look at a kernel with live patches: tasks, stack, patches."""

    def __init__(self):
        super().__init__("switchyard", gdb.COMMAND_DATA, prefix=True)


class Tasks(gdb.Command):
    """All tasks with their patch_state; `switchyard tasks left`: those that have
not switched in the transition that runs."""

    def __init__(self):
        super().__init__("switchyard tasks", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        patch, target = transition()
        left = argument.strip() == "left"
        if patch is not None:
            print("%s is in transition to patch_state %d" % (text(patch["mod"].dereference()["name"]), target))
        elif left:
            print("no transition runs")
            return
        print("%7s %7s  %-15s  %-5s  %s" % ("PID", "TID", "COMM", "STATE", "PATCH_STATE"))
        n = 0
        for task in threads():
            now = int(task["patch_state"])
            if left and now == target:
                continue
            n += 1
            print("%7d %7d  %-15s  %-5s  %d" % (int(task["tgid"]), int(task["pid"]), text(task["comm"], TASK_COMM_LEN), state(task), now))
        print("%d tasks" % n)


class Stack(gdb.Command):
    """switchyard stack TID: the stack of a task that does not run."""

    def __init__(self):
        super().__init__("switchyard stack", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        try:
            wanted = int(argument)
        except ValueError:
            raise gdb.GdbError("switchyard stack TID")
        for task in threads():
            if int(task["pid"]) == wanted:
                return self.show(task)
        raise gdb.GdbError("no task %d" % wanted)

    def show(self, task):
        if int(task["on_cpu"]):
            raise gdb.GdbError("it runs: see `info threads` and `bt`")
        frame = int(task["thread"]["sp"]) & MASK
        saved = at("inactive_task_frame", frame)
        bp, pc = int(saved["bp"]) & MASK, int(saved["ret_addr"]) & MASK
        sp = frame + kernel_type("inactive_task_frame").sizeof
        orc, exact = Orc(), False
        for _ in range(64):
            print("  %#x  %s" % (pc, place(pc)))
            up = orc.step(pc, sp, bp, exact, None)
            if up is None or up[0] < KERNEL_HALF:
                return
            pc, sp, bp, exact = up


class Patches(gdb.Command):
    """The live patches and the functions that they replace."""

    def __init__(self):
        super().__init__("switchyard patches", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        running, target = transition()
        for patch in walk(symbol("klp_patches"), "klp_patch", "list"):
            moving = ""
            if running is not None and int(running.address) == int(patch.address):
                moving = ", in transition to patch_state %d" % target
            print("%s: %s%s" % (text(patch["mod"].dereference()["name"]), "enabled" if int(patch["enabled"]) else "disabled", moving))
            for obj in walk(int(patch["obj_list"].address), "klp_object", "node"):
                name = string(obj["name"]) if int(obj["name"]) else "vmlinux"
                for func in walk(int(obj["func_list"].address), "klp_func", "node"):
                    print("  %s: %s -> %s" % (name, string(func["old_name"]), place(int(func["new_func"]) & MASK)))


for command in (Switchyard, Tasks, Stack, Patches):
    command()
