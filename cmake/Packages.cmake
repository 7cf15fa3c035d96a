# Packages of an installation, by `cpack` in the build folder:
#   cpack -G TGZ    an archive that can be unpacked anywhere
#   cpack -G DEB    a package for Debian, with what it needs
# What dlc needs is told here, since the tool that would find it out
# (dpkg-shlibdeps) is not on every machine.

set(CPACK_PACKAGE_NAME dlc)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_CONTACT "the maintainers of dlc <dlc@localhost>")
set(CPACK_PACKAGE_FILE_NAME dlc-${PROJECT_VERSION}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_GENERATOR TGZ DEB)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_DEPENDS
    "libmlir-22, libllvm22, libprotobuf32, libstdc++6, libc6")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "gcc | c-compiler, python3-numpy")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libmlir-22-dev, llvm-22-dev, cmake")
include(CPack)
