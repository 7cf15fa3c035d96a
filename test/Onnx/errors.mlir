// Every message of the onnx dialect.
// RUN: dlc-opt %s -allow-unregistered-dialect -split-input-file -verify-diagnostics

"onnx.graph"() ({
// expected-error@-1 {{'onnx.graph' op graph expected 1 block arguments, one for each input, found 0}}
  "onnx.return"() : () -> ()
}) {sym_name = "g", inputs = [{name = "x"}], outputs = []} : () -> ()

// -----

"onnx.graph"() ({
// expected-error@-1 {{'onnx.graph' op graph expected a name for every input and output, found {}}}
  "onnx.return"() : () -> ()
}) {sym_name = "g", inputs = [], outputs = [{}]} : () -> ()

// -----

// expected-error@+1 {{'onnx.graph' op graph input #0 has 1 dimension names and the type 'tensor<2x2xf32>'}}
onnx.graph @g(%x "x" : tensor<2x2xf32> {dim_names = ["n"]}) -> () {
  onnx.return
}

// -----

"onnx.graph"() ({
// expected-error@-1 {{'onnx.graph' op graph expected to end in 'onnx.return'}}
  "other.return"() : () -> ()
}) {sym_name = "g", inputs = [], outputs = []} : () -> ()

// -----

onnx.graph @g(%x "x" : tensor<f32>) -> ("x") {
  // expected-error@+1 {{'onnx.return' op expected 1 operands, found 0}}
  onnx.return
}

// -----

onnx.graph @g() -> () {
  // expected-error@+1 {{expected a tensor or sparse tensor, found 1 : i64}}
  %w = onnx.initializer "w" = 1
  onnx.return
}

// -----

onnx.graph @g() -> () {
  // expected-error@+1 {{'onnx.initializer' op expected the type of its value, 'tensor<1xf32>', found 'tensor<2xf32>'}}
  %w = "onnx.initializer"() {name = "w", value = dense<1.0> : tensor<1xf32>} : () -> tensor<2xf32>
  onnx.return
}

// -----

onnx.graph @g() -> () {
  // expected-error@+1 {{'onnx.initializer' op expected a tensor or sparse tensor as the value, found "x"}}
  %w = "onnx.initializer"() {name = "w", value = "x"} : () -> tensor<2xf32>
  onnx.return
}

// -----

onnx.graph @g() -> () {
  // expected-error@+1 {{'onnx.node' op expected 1 output names, one for each result, found 0}}
  %0 = "onnx.node"() {op_type = "Relu", onnx_attributes = {}, output_names = [], graphs = []} : () -> tensor<f32>
  onnx.return
}

// -----

onnx.graph @g() -> () {
  // expected-error@+1 {{'onnx.node' op expected 0 entries in 'graphs', one for each region, found 1}}
  "onnx.node"() {op_type = "If", onnx_attributes = {}, output_names = [], graphs = [{}]} : () -> ()
  onnx.return
}

// -----

onnx.graph @g() -> () {
  // expected-error@+1 {{'onnx.node' op expected the name of the attribute of subgraph #0}}
  "onnx.node"() ({
    "onnx.return"() : () -> ()
  }) {op_type = "If", onnx_attributes = {}, output_names = [], graphs = [{inputs = [], outputs = []}]} : () -> ()
  onnx.return
}

// -----

onnx.graph @g() -> () {
  // expected-error@+1 {{'onnx.node' op subgraph 'body' expects lists of inputs and outputs}}
  "onnx.node"() ({
    "onnx.return"() : () -> ()
  }) {op_type = "If", onnx_attributes = {}, output_names = [], graphs = [{attribute = "body"}]} : () -> ()
  onnx.return
}
