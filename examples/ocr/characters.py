"""Writes the characters that a PP-OCR recogniser knows as a C table.

usage: characters.py model.onnx characters.h

The list is the metadata "character" of the model. The recogniser's first
answer means "no character", its last one is the space.
"""

import sys

import onnx


def main(model_file: str, header_file: str) -> None:
    model = onnx.load(model_file, load_external_data=False)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    characters = ["", *metadata["character"].splitlines(), " "]
    with open(header_file, "w", encoding="utf-8") as out:
        print(f"#define NUM_CHARACTERS {len(characters)}\n", file=out)
        print("/* In UTF-8. */\nstatic const char *const characters[NUM_CHARACTERS] = {", file=out)
        for character in characters:
            escaped = "".join(f"\\{byte:03o}" for byte in character.encode())
            print(f'  "{escaped}",', file=out)
        print("};", file=out)


if __name__ == "__main__":
    main(*sys.argv[1:])
