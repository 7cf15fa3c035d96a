# dlc_add_pass_plugin(target source...)
#
# A plugin for dlc, `dlc --load-plugin=lib<target>.so`: a shared library with
# the entry point of dlc/Plugin.h (or one of MLIR's own).
#
#   find_package(dlc REQUIRED COMPONENTS Library)
#   dlc_add_pass_plugin(mine mine.cpp)
function(dlc_add_pass_plugin target)
  if(NOT ARGN)
    message(FATAL_ERROR "dlc_add_pass_plugin: expected sources for '${target}'")
  endif()
  add_library(${target} MODULE ${ARGN})
  target_link_libraries(${target} PRIVATE dlc::dlc)
  target_compile_features(${target} PRIVATE cxx_std_17)
  # As LLVM itself is built: no exceptions, and nothing shown but the entry.
  target_compile_options(${target} PRIVATE
                         $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
  set_target_properties(${target} PROPERTIES
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()
