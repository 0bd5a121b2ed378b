// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func outByte(port uint16, value byte)
TEXT ·outByte(SB), NOSPLIT, $0-3
	MOVW port+0(FP), DX
	MOVB value+2(FP), AX
	OUTB
	RET

// func outWord(port, value uint16)
TEXT ·outWord(SB), NOSPLIT, $0-4
	MOVW port+0(FP), DX
	MOVW value+2(FP), AX
	OUTW
	RET

// func inBytes(port uint16, to *byte, n int)
TEXT ·inBytes(SB), NOSPLIT, $0-24
	MOVW port+0(FP), DX
	MOVQ to+8(FP), DI
	MOVQ n+16(FP), CX
	CLD
	REP; INSB
	RET
