# The target docs: pages that are generated, in build/docs, which `cmake
# --install` lays beside the written ones.
#   Dialect.md         the operations of dlc, from dialects/**/*.td
#   Passes.md          the passes of each phase, from passes/**/*.td
#   OnnxOperators.md   every ONNX operator, and what tests say of it (names only,
#                      without the environment of scripts/setup)

set(docs ${PROJECT_BINARY_DIR}/docs)
set(doc_parts ${PROJECT_BINARY_DIR}/CMakeFiles/docs)
file(GLOB included_tds CONFIGURE_DEPENDS dialects/*/*.td passes/*/*.td)
set(doc_includes "")
foreach(folder IN LISTS MLIR_INCLUDE_DIRS LLVM_INCLUDE_DIRS PROJECT_SOURCE_DIR)
  list(APPEND doc_includes -I ${folder})
endforeach()

# dlc_doc_part(output td flag...)  is one piece of a page.
function(dlc_doc_part output td)
  add_custom_command(
    OUTPUT ${doc_parts}/${output}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${doc_parts}
    COMMAND ${MLIR_TABLEGEN_EXE} ${ARGN} ${doc_includes}
            -I ${PROJECT_SOURCE_DIR}/dialects/Dlc -I ${PROJECT_SOURCE_DIR}/dialects/Onnx
            ${PROJECT_SOURCE_DIR}/${td} -o ${doc_parts}/${output}
    DEPENDS ${PROJECT_SOURCE_DIR}/${td} ${included_tds} VERBATIM)
endfunction()

# dlc_doc_page(name parts...)  is made of pieces by a script.
function(dlc_doc_page name)
  add_custom_command(
    OUTPUT ${docs}/${name}.md
    COMMAND ${CMAKE_COMMAND} -DPAGE=${name} -DOUTPUT=${docs}/${name}.md
            "-DPARTS=${ARGN}" -P ${PROJECT_SOURCE_DIR}/cmake/WriteDoc.cmake
    DEPENDS ${ARGN} ${PROJECT_SOURCE_DIR}/cmake/WriteDoc.cmake VERBATIM)
endfunction()

dlc_doc_part(dlc.md dialects/Dlc/DlcOps.td -gen-dialect-doc -dialect=dlc)
dlc_doc_part(onnx.md dialects/Onnx/Onnx.td -gen-dialect-doc -dialect=onnx)
dlc_doc_page(Dialect ${doc_parts}/dlc.md ${doc_parts}/onnx.md)

set(pass_parts "")
foreach(phase Simplify Import Graph Tensor Buffer Cpu Gpu)
  dlc_doc_part(${phase}.md passes/${phase}/Passes.td -gen-pass-doc)
  list(APPEND pass_parts ${doc_parts}/${phase}.md)
endforeach()
dlc_doc_page(Passes ${pass_parts})

add_custom_command(
  OUTPUT ${doc_parts}/operators.txt
  COMMAND ${CMAKE_COMMAND} -E make_directory ${doc_parts}
  COMMAND dlc-tool --print-supported-ops > ${doc_parts}/operators.txt
  DEPENDS dlc-tool VERBATIM)
set(doc_python ${PROJECT_BINARY_DIR}/venv/bin/python)
set(conformance ${PROJECT_SOURCE_DIR}/test/conformance)
if(EXISTS ${doc_python})
  add_custom_command(
    OUTPUT ${docs}/OnnxOperators.md
    COMMAND ${CMAKE_COMMAND} -E env PYTHONPATH=${PROJECT_SOURCE_DIR}/python ${doc_python} -W ignore
            ${conformance}/list_operators.py ${doc_parts}/operators.txt ${docs}/OnnxOperators.md
    DEPENDS ${doc_parts}/operators.txt ${conformance}/list_operators.py ${conformance}/passing.txt VERBATIM)
else()
  dlc_doc_page(OnnxOperators ${doc_parts}/operators.txt)
endif()

add_custom_target(docs ALL DEPENDS ${docs}/Dialect.md ${docs}/Passes.md
                               ${docs}/OnnxOperators.md)
