# Targets that look after the form of the sources:
#   format         rewrites them as .clang-format says
#   check-format   fails if that would change one
#   tidy           runs clang-tidy, as .clang-tidy says, on what is compiled

find_program(CLANG_FORMAT clang-format-22)
find_program(RUN_CLANG_TIDY run-clang-tidy-22)
find_program(CLANG_TIDY clang-tidy-22)

file(GLOB_RECURSE dlc_formatted CONFIGURE_DEPENDS LIST_DIRECTORIES false
     RELATIVE ${PROJECT_SOURCE_DIR}
     dialects/*.h dialects/*.cpp examples/*.h examples/*.c examples/*.cpp
     include/*.h lib/*.h lib/*.c lib/*.cpp passes/*.h passes/*.cpp
     test/*.h test/*.c test/*.cpp tools/*.h tools/*.cpp)
string(REPLACE ";" "\n" dlc_formatted "${dlc_formatted}")
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/formatted.txt CONTENT "${dlc_formatted}\n" @ONLY)

if(CLANG_FORMAT)
  add_custom_target(format
    COMMAND ${CLANG_FORMAT} -i --files=${PROJECT_BINARY_DIR}/formatted.txt
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
  add_custom_target(check-format
    COMMAND ${CLANG_FORMAT} --dry-run --Werror
            --files=${PROJECT_BINARY_DIR}/formatted.txt
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
endif()

if(RUN_CLANG_TIDY AND CLANG_TIDY)
  add_custom_target(tidy
    COMMAND ${RUN_CLANG_TIDY} -quiet -clang-tidy-binary ${CLANG_TIDY}
            -p ${PROJECT_BINARY_DIR}
            "${PROJECT_SOURCE_DIR}/(dialects|lib|passes|tools)/"
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} USES_TERMINAL VERBATIM)
  add_dependencies(tidy dlc-headers dlc-pch)
endif()
