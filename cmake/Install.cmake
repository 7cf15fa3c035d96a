# What `cmake --install` lays down, and the CMake package that other projects
# find: dlcConfig.cmake, in the install prefix and in the build folder alike.
# The libraries and tools install themselves where they are defined.

include(CMakePackageConfigHelpers)
set(dlc_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/dlc)
set(dlc_build_package_dir ${PROJECT_BINARY_DIR}/lib/cmake/dlc)

install(DIRECTORY include/dlc DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")

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
configure_file(cmake/DlcAddModel.cmake ${dlc_build_package_dir}/DlcAddModel.cmake COPYONLY)
install(FILES ${dlc_build_package_dir}/dlcConfig.cmake
              ${dlc_build_package_dir}/dlcConfigVersion.cmake
              cmake/DlcAddModel.cmake
        DESTINATION ${dlc_package_dir})
