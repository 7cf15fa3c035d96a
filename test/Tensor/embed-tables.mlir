// RUN: dlc-opt %s --dlc-embed-tables --canonicalize | FileCheck %s

#map = affine_map<(d0) -> (d0)>

// CHECK-LABEL: func @table
func.func @table(%x: tensor<?xi8>, %y: tensor<?xi8>) -> tensor<?xi8> {
  %t = arith.constant dense<"0x000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF"> : tensor<256xi8>
  // CHECK: linalg.generic
  // CHECK-NEXT: ^bb0(%[[X:.*]]: i8, %{{.*}}: i8):
  // CHECK-NEXT: %[[Y:.*]] = dlc.lookup %[[X]] {table = array<i8: 0, 1, 2, {{.*}}, -2, -1>} : i8
  // CHECK-NEXT: linalg.yield %[[Y]]
  %r = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]}
      ins(%x : tensor<?xi8>) outs(%y : tensor<?xi8>) {
  ^bb0(%a: i8, %b: i8):
    %i = arith.index_castui %a : i8 to index
    %v = tensor.extract %t[%i] : tensor<256xi8>
    linalg.yield %v : i8
  } -> tensor<?xi8>
  return %r : tensor<?xi8>
}

// A table that the run gives, one of other numbers, and a signed index.
// CHECK-LABEL: func @others
// CHECK-NOT: dlc.lookup
func.func @others(%x: tensor<4xi8>, %t: tensor<256xi8>, %y: tensor<4xi8>)
    -> (tensor<4xi8>, tensor<4xi16>, tensor<4xi8>) {
  %words = arith.constant dense<7> : tensor<256xi16>
  %bytes = arith.constant dense<"0x000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF"> : tensor<256xi8>
  %z = tensor.empty() : tensor<4xi16>
  %r:3 = linalg.generic {indexing_maps = [#map, #map, #map, #map],
      iterator_types = ["parallel"]}
      ins(%x : tensor<4xi8>) outs(%y, %z, %y : tensor<4xi8>, tensor<4xi16>, tensor<4xi8>) {
  ^bb0(%a: i8, %b: i8, %c: i16, %d: i8):
    %i = arith.index_castui %a : i8 to index
    %j = arith.index_cast %a : i8 to index
    %v = tensor.extract %t[%i] : tensor<256xi8>
    %w = tensor.extract %words[%i] : tensor<256xi16>
    %u = tensor.extract %bytes[%j] : tensor<256xi8>
    linalg.yield %v, %w, %u : i8, i16, i8
  } -> (tensor<4xi8>, tensor<4xi16>, tensor<4xi8>)
  return %r#0, %r#1, %r#2 : tensor<4xi8>, tensor<4xi16>, tensor<4xi8>
}
