// The translation unit that CMake builds the precompiled header with.
