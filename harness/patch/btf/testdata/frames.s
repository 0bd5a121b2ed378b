	.file	"frames.c"
	.text
	.p2align 4
	.type	napping, @function
napping:
.LFB1:
	.cfi_startproc
1:	call	__fentry__
	.section __mcount_loc, "a",@progbits
	.quad 1b
	.previous
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset 6, -16
	pushq	%rbx
	.cfi_def_cfa_offset 24
	.cfi_offset 3, -24
	call	__x86_indirect_thunk_rax
	testl	%eax, %eax
	je	.L2
	.cfi_remember_state
	popq	%rbx
	.cfi_restore 3
	.cfi_def_cfa_offset 16
	popq	%rbp
	.cfi_restore 6
	.cfi_def_cfa_offset 8
	jmp	__x86_return_thunk
	int3
.L2:
	.cfi_restore_state
	call	schedule
	jmp	.L2
	.cfi_endproc
	.size	napping, .-napping
	.section	.init.text,"ax",@progbits
	.type	framed, @function
framed:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset 6, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register 6
	leave
	.cfi_def_cfa 7, 8
	.cfi_restore 6
	jmp	__x86_return_thunk
	.cfi_endproc
	.type	realigned, @function
realigned:
	.cfi_startproc
	leaq	8(%rsp), %r10
	.cfi_def_cfa 10, 0
	andq	$-32, %rsp
	.cfi_endproc
