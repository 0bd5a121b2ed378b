// SPDX-License-Identifier: Apache-2.0

package kernels

// Progress hears how far a long piece of work is. what names it for a person
// ("kernel 6.12.117+deb13-cloud-amd64", "tool root"); done and total count
// bytes, or objects where a kernel is built; total is 0 while it is not known. It is called from several
// goroutines, though never at the same time for one what. The last call for a
// what that came to its end has done == total.
type Progress func(what string, done, total int64)
