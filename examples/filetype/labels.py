"""Writes the C tables of what Magika's model answers.

usage: labels.py config.min.json content_types_kb.min.json labels.h

The first file says which content type each output of the model stands for,
how sure the model must be of it, and how the input is cut from a file; the
second describes the content types.
"""

import json
import sys


def c_string(text: str) -> str:
    """A C string literal of UTF-8 text; octal escapes end by themselves."""
    return '"' + "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode()) + '"'


def main(config_file: str, types_file: str, header_file: str) -> None:
    with open(config_file, encoding="utf-8") as file:
        config = json.load(file)
    with open(types_file, encoding="utf-8") as file:
        types = json.load(file)
    labels = config["target_labels_space"]
    # The program knows one way to read a file; a model that wants another is
    # not silently given this one.
    if config["mid_size"] or config["use_inputs_at_offsets"]:
        sys.exit("labels.py: this model reads files in a way that filetype.c does not know")
    # The names that answers may have beside the model's own.
    names = sorted({*labels, *config["overwrite_map"].values(), "txt", "unknown"})

    with open(header_file, "w", encoding="utf-8") as out:
        for key in ("beg_size", "end_size", "block_size", "padding_token", "min_file_size_for_dl"):
            print(f"#define {key.upper()} {config[key]}", file=out)
        print(f"#define NUM_LABELS {len(labels)}\n", file=out)
        print("static const struct content_type {", file=out)
        print("  const char *name, *description;\n  int is_text;\n} types[] = {", file=out)
        for name in names:
            description = types[name]["description"] or name
            print(f"  {{{c_string(name)}, {c_string(description)}, {int(types[name]['is_text'])}}},",
                  file=out)
        print("};\n", file=out)
        print(f"enum {{ TYPE_TXT = {names.index('txt')}, TYPE_UNKNOWN = {names.index('unknown')} }};\n",
              file=out)
        print("/* What each output of the model means: a type, and the least score. */", file=out)
        print("static const struct label {\n  int type;\n  double threshold;\n} labels[NUM_LABELS] = {",
              file=out)
        for label in labels:
            shown = config["overwrite_map"].get(label, label)
            threshold = config["thresholds"].get(label, config["medium_confidence_threshold"])
            print(f"  {{{names.index(shown)}, {threshold}}}, /* {label} */", file=out)
        print("};", file=out)


if __name__ == "__main__":
    main(*sys.argv[1:])
