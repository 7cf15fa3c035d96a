# cmake -DNM=llvm-nm -DOUT=file.inc "-DOBJECTS=a.o;..." -P ListFunctions.cmake
#
# Writes HOST_FUNCTION(name) for each function that the objects define for
# others.
execute_process(
  COMMAND ${NM} --defined-only --extern-only --format=just-symbols ${OBJECTS}
  OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "dlc_[A-Za-z0-9_]+" names "${symbols}")
list(SORT names)
list(TRANSFORM names REPLACE "(.+)" "HOST_FUNCTION(\\1)\n")
list(JOIN names "" text)
file(WRITE "${OUT}" "${text}")
