// A product of any number of rows, and an elementwise function.
module attributes {dlc.name = "rows",
                   dlc.inputs = [{name = "x", type = tensor<?x300xf32>, dims = ["n", ""]}],
                   dlc.outputs = [{name = "y", type = tensor<?x200xf32>, dims = ["n", ""]}]} {
  func.func @main(%x: tensor<?x300xf32>) -> tensor<?x200xf32> {
    %w = dlc.constant dense<0.03125> : tensor<300x200xf32>
    %0 = dlc.matmul %x, %w : tensor<?x300xf32>, tensor<300x200xf32> -> tensor<?x200xf32>
    %1 = dlc.tanh %0 : tensor<?x200xf32>
    return %1 : tensor<?x200xf32>
  }
}
