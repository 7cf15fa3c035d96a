// Products and a softmax of unknown sizes: memory that comes and goes.
module attributes {dlc.name = "memory",
                   dlc.inputs = [{name = "x", type = tensor<?x8xf32>, dims = ["n", ""]}],
                   dlc.outputs = [{name = "y", type = tensor<?x8xf32>, dims = ["n", ""]}]} {
  func.func @main(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    %0 = dlc.transpose %x [1, 0] : tensor<?x8xf32>
    %1 = dlc.matmul %x, %0 : tensor<?x8xf32>, tensor<8x?xf32> -> tensor<?x?xf32>
    %2 = dlc.softmax %1 axis = 1 : tensor<?x?xf32>
    %3 = dlc.matmul %2, %x : tensor<?x?xf32>, tensor<?x8xf32> -> tensor<?x8xf32>
    %4 = dlc.softmax %3 axis = 1 : tensor<?x8xf32>
    %5 = dlc.transpose %4 [1, 0] : tensor<?x8xf32>
    %6 = dlc.matmul %4, %5 : tensor<?x8xf32>, tensor<8x?xf32> -> tensor<?x?xf32>
    %7 = dlc.exp %6 : tensor<?x?xf32>
    %8 = dlc.matmul %7, %x : tensor<?x?xf32>, tensor<?x8xf32> -> tensor<?x8xf32>
    return %8 : tensor<?x8xf32>
  }
}
