# What `cmake --install` lays down, and the CMake package that other projects
# find: dlcConfig.cmake, in the install prefix and in the build folder alike.
# The libraries and tools install themselves where they are defined.

include(CMakePackageConfigHelpers)
set(dlc_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/dlc)
set(dlc_build_package_dir ${PROJECT_BINARY_DIR}/lib/cmake/dlc)

install(DIRECTORY include/dlc DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_BINARY_DIR}/dlc/Version.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/dlc)
# What dlc/Plugin.h shows of the inside, with its paths as they are here. With
# the .td files, so that a plugin's dialect can build on them.
foreach(header
    dialects/Dlc/Dims.h dialects/Dlc/Dlc.h dialects/Dlc/DlcBase.td
    dialects/Dlc/DlcElementwise.td dialects/Dlc/DlcInterfaces.td
    dialects/Onnx/Onnx.h lib/Target/Gpu.h lib/Target/Target.h
    passes/Import/OpTable.h
    passes/Remarks.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${DLC_SDK_INCLUDEDIR}/${folder})
endforeach()
install(DIRECTORY ${PROJECT_BINARY_DIR}/dialects DESTINATION ${DLC_SDK_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h.inc" PATTERN "CMakeFiles" EXCLUDE)

# The Python package.
install(DIRECTORY python/dlc DESTINATION ${DLC_PYTHON_INSTALL_DIR}
        FILES_MATCHING PATTERN "*.py" PATTERN "py.typed")

# The written pages, and the generated ones.
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${PROJECT_BINARY_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}
        FILES_MATCHING PATTERN "*.md")
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The package. dlcTools knows the compiler, which is all that a user of
# compiled models needs; dlcLibrary knows libdlc.so, for plugins.
install(EXPORT dlcTools NAMESPACE dlc:: DESTINATION ${dlc_package_dir})
install(EXPORT dlcLibrary NAMESPACE dlc:: DESTINATION ${dlc_package_dir})
export(EXPORT dlcTools NAMESPACE dlc:: FILE ${dlc_build_package_dir}/dlcTools.cmake)
export(EXPORT dlcLibrary NAMESPACE dlc:: FILE ${dlc_build_package_dir}/dlcLibrary.cmake)
write_basic_package_version_file(${dlc_build_package_dir}/dlcConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
configure_package_config_file(cmake/dlcConfig.cmake.in
                              ${dlc_build_package_dir}/dlcConfig.cmake
                              INSTALL_DESTINATION ${dlc_package_dir})
foreach(module DlcAddModel DlcAddPassPlugin)
  configure_file(cmake/${module}.cmake ${dlc_build_package_dir}/${module}.cmake COPYONLY)
endforeach()
install(FILES ${dlc_build_package_dir}/dlcConfig.cmake
              ${dlc_build_package_dir}/dlcConfigVersion.cmake
              cmake/DlcAddModel.cmake cmake/DlcAddPassPlugin.cmake
        DESTINATION ${dlc_package_dir})

# For builds without CMake. The file finds its prefix itself, so the
# installation can be moved.
file(RELATIVE_PATH dlc_pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/dlc.pc.in ${dlc_build_package_dir}/dlc.pc @ONLY)
install(FILES ${dlc_build_package_dir}/dlc.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
include(Packages)
