# cmake -DOUT=file.inc "-DFILES=name=path;..." -P EmbedFiles.cmake
#
# Writes a C++ file that holds the files' bytes. (Not #embed: ccache does not
# see that the file behind it changed.)
set(text "")
set(table "static const EmbeddedFile files[] = {\n")
set(count 0)
foreach(item IN LISTS FILES)
  string(REGEX MATCH "^([^=]*)=(.*)$" unused "${item}")
  set(name "${CMAKE_MATCH_1}")
  file(READ "${CMAKE_MATCH_2}" hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  string(APPEND text "alignas(16) static const unsigned char file${count}[] = {\n${bytes}0};\n")
  string(APPEND table "    {\"${name}\", file${count}, sizeof file${count} - 1},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE "${OUT}" "${text}${table}};\n")
