// A convolution that is given Winograd's form, and a softmax.
module attributes {dlc.name = "wide",
                   dlc.inputs = [{name = "x", type = tensor<2x9x11x48xf32>}],
                   dlc.outputs = [{name = "y", type = tensor<2x9x11x72xf32>}]} {
  func.func @main(%x: tensor<2x9x11x48xf32>) -> tensor<2x9x11x72xf32> {
    %w = dlc.constant dense<0.0078125> : tensor<3x3x48x72xf32>
    %0 = dlc.conv %x, %w strides = [1, 1] dilations = [1, 1] pads = [1, 1, 1, 1] group = 1 : tensor<2x9x11x48xf32>, tensor<3x3x48x72xf32> -> tensor<2x9x11x72xf32>
    %1 = dlc.softmax %0 axis = 3 : tensor<2x9x11x72xf32>
    return %1 : tensor<2x9x11x72xf32>
  }
}
