# What the CMakeLists of the folders share.

# dlc_object_library(name [EXCEPTIONS] [LIBS lib...])
#
# Compiles every .cpp file of the current folder (and of `Ops/` below it) into
# the object library `name`, and adds it to libdlc.so. A new file needs no
# edit of any CMakeLists. EXCEPTIONS is for code that calls a library that
# throws; it does without the precompiled header.
function(dlc_object_library name)
  cmake_parse_arguments(ARG "EXCEPTIONS" "" "LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp Ops/*.cpp)
  add_library(${name} OBJECT ${sources})
  add_dependencies(${name} dlc-headers)
  target_compile_definitions(${name} PRIVATE DLC_BUILDING_LIBRARY)
  if(ARG_EXCEPTIONS)
    target_compile_options(${name} PRIVATE -fexceptions)
  else()
    target_precompile_headers(${name} REUSE_FROM dlc-pch)
  endif()
  if(ARG_LIBS)
    target_link_libraries(${name} PRIVATE ${ARG_LIBS})
  endif()
  set_property(GLOBAL APPEND PROPERTY DLC_OBJECT_LIBRARIES ${name})
endfunction()

# dlc_tablegen(file.td output generator-flag...)
#
# One generated file of mlir-tblgen, e.g.
#   dlc_tablegen(Dlc.td DlcOps.h.inc -gen-op-decls)
# Call dlc_tablegen_done(Folder) after the last one of a folder.
macro(dlc_tablegen td out)
  set(LLVM_TARGET_DEFINITIONS ${td})
  mlir_tablegen(${out} ${ARGN})
endmacro()

macro(dlc_tablegen_done name)
  add_public_tablegen_target(dlc-${name}-inc)
  add_dependencies(dlc-headers dlc-${name}-inc)
endmacro()

# dlc_tool(name EXPORT_NAME export)
#
# Compiles the .cpp files of the current folder into the program `name`, which
# links libdlc.so, and installs it; other projects know it as dlc::export. The
# target has the program's name, except dlc-tool, for `dlc` is the library's.
function(dlc_tool name)
  cmake_parse_arguments(ARG "" "EXPORT_NAME" "" ${ARGN})
  set(target ${name})
  if(TARGET ${name})
    set(target ${name}-tool)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  add_executable(${target} ${sources})
  add_dependencies(${target} dlc-headers)
  target_link_libraries(${target} PRIVATE dlc)
  # The precompiled header is made with -fPIC, not with the -fPIE of programs.
  target_compile_options(${target} PRIVATE -fPIC)
  target_precompile_headers(${target} REUSE_FROM dlc-pch)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
                        EXPORT_NAME ${ARG_EXPORT_NAME})
  install(TARGETS ${target} EXPORT dlcTools)
endfunction()
