#!/bin/sh
# usage: assemble.sh FILE.mlir LOWER-OPTIONS TRIPLE CPU [ATTRIBUTES]
# Prints the assembly of the kernels of FILE for a machine.
dlc-opt "$1" --pass-pipeline="builtin.module(dlc-lower-contract{$2},canonicalize,cse,loop-invariant-code-motion,convert-scf-to-cf,expand-strided-metadata,lower-affine,convert-math-to-llvm,convert-vector-to-llvm,finalize-memref-to-llvm,convert-arith-to-llvm,convert-index-to-llvm,convert-func-to-llvm,convert-cf-to-llvm,reconcile-unrealized-casts)" |
  mlir-translate --mlir-to-llvmir |
  opt -O2 -mtriple="$3" -mcpu="$4" -mattr="$5" |
  llc -O2 -mtriple="$3" -mcpu="$4" -mattr="$5"
