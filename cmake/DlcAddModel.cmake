# dlc_add_model(target model.onnx [NAME name] [OPTIONS flag...])
#
# Compiles a model when the project is built. A program that links `target`
# includes name.h and calls name_run(); NAME defaults to the target's name.
# OPTIONS are flags of dlc, such as -mcpu=cortex-a72. When cross-compiling,
# the object is for CMAKE_SYSTEM_PROCESSOR unless OPTIONS say otherwise.
#
#   find_package(dlc REQUIRED)
#   dlc_add_model(classifier models/resnet50.onnx)
#   add_executable(app app.c)
#   target_link_libraries(app PRIVATE classifier)
function(dlc_add_model target model)
  cmake_parse_arguments(PARSE_ARGV 2 ARG "" "NAME" "OPTIONS")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "dlc_add_model: unknown arguments: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT ARG_NAME)
    set(ARG_NAME ${target})
  endif()
  if(CMAKE_CROSSCOMPILING AND NOT "${ARG_OPTIONS}" MATCHES "-target")
    list(PREPEND ARG_OPTIONS -target=${CMAKE_SYSTEM_PROCESSOR})
  endif()
  get_filename_component(model ${model} ABSOLUTE)

  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${target}.model)
  set(object ${folder}/${ARG_NAME}.o)
  set(header ${folder}/${ARG_NAME}.h)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(
    OUTPUT ${object} ${header}
    COMMAND dlc::compiler ${model} -o ${object} --name=${ARG_NAME} ${ARG_OPTIONS}
    DEPENDS ${model} dlc::compiler
    COMMENT "Compiling the model ${model}" VERBATIM)
  add_custom_target(${target}-compiled DEPENDS ${object} ${header})

  add_library(${target} INTERFACE)
  add_dependencies(${target} ${target}-compiled)
  target_include_directories(${target} INTERFACE ${folder})
  target_link_libraries(${target} INTERFACE ${object} m Threads::Threads)
endfunction()
