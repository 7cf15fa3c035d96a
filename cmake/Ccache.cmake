# Compiles through ccache, set up so that another checkout of the same files
# finds what this one compiled. Include it after the compiler and MLIR are
# known.
#
# The precompiled header is the difficulty: ccache would take its bytes into
# the key, and they hold the paths of the checkout. But all that goes into it
# is one header of ours and those of LLVM, so a hash of that header and of the
# installed LLVM stands for it in a file beside it. The precompiled header
# itself is made anew in every build folder, for clang compares the times of
# the files that it was made from.

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  # CMake's own flags also name the header, by a path that ccache leaves
  # absolute; clang needs the precompiled one only.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    set(CMAKE_CXX_COMPILE_OPTIONS_USE_PCH
        -Xclang -include-pch -Xclang <PCH_FILE>)
  endif()
endif()

# dlc_ccache_precompiled_header(target header): for the target that makes the
# precompiled header, in its own folder's CMakeLists.
function(dlc_ccache_precompiled_header target header)
  set(header ${CMAKE_CURRENT_SOURCE_DIR}/${header})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  list(GET MLIR_INCLUDE_DIRS 0 mlir)
  file(TIMESTAMP ${mlir}/mlir/IR/Builders.h installed UTC)
  file(SHA256 ${header} hash)
  file(CONFIGURE OUTPUT CMakeFiles/${target}.dir/cmake_pch.hxx.pch.sum CONTENT
       "${hash} ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${LLVM_PACKAGE_VERSION} ${installed}\n")
  set_target_properties(${target} PROPERTIES CXX_COMPILER_LAUNCHER "")
endfunction()
