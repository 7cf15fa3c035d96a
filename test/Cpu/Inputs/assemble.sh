#!/bin/sh
# usage: assemble.sh FILE.mlir LOWER-OPTIONS INDEX-BITS TRIPLE CPU [ATTRIBUTES]
# Prints the assembly of the kernels of FILE for a machine.
{
  echo "module attributes {dlti.dl_spec = #dlti.dl_spec<index = $3 : i32>} {"
  cat "$1"
  echo "}"
} |
  dlc-opt --pass-pipeline="builtin.module(dlc-lower-contract{$2},canonicalize,cse,loop-invariant-code-motion,convert-scf-to-cf,expand-strided-metadata,lower-affine,convert-to-llvm{dynamic=true},reconcile-unrealized-casts)" |
  mlir-translate --mlir-to-llvmir |
  opt -O2 -mtriple="$4" -mcpu="$5" -mattr="$6" |
  llc -O2 -mtriple="$4" -mcpu="$5" -mattr="$6"
