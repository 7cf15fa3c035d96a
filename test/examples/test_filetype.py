"""examples/filetype says of every file what Magika itself says."""

import bz2
import csv
import gzip
import json
import lzma
import pathlib
import pickle
import py_compile
import random
import sqlite3
import subprocess
import tarfile
import wave
import zipfile

import numpy
import onnx
import pytest
from magika import Magika
from PIL import Image, ImageDraw

TEXTS = {
    "hello.c": '#include <stdio.h>\n\nint main(void) {\n  printf("hello\\n");\n  return 0;\n}\n',
    "shape.cpp": "#include <vector>\n\nnamespace geometry {\ntemplate <typename T>\nclass Shape {\n"
                 "public:\n  virtual ~Shape() = default;\n  std::vector<T> points() const;\n};\n}\n",
    "area.py": "import math\n\n\ndef area(radius: float) -> float:\n    return math.pi * radius ** 2\n\n\n"
               'if __name__ == "__main__":\n    print(area(2.0))\n',
    "Main.java": "package demo;\n\nimport java.util.List;\n\npublic class Main {\n"
                 "  public static void main(String[] args) {\n    System.out.println(List.of(1, 2));\n  }\n}\n",
    "app.js": "const http = require('http');\n\nhttp.createServer((req, res) => {\n"
              "  res.end('ok');\n}).listen(8080);\n",
    "app.ts": "interface Point { x: number; y: number; }\n\n"
              "export function norm(p: Point): number {\n  return Math.hypot(p.x, p.y);\n}\n",
    "main.go": 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfor i := 0; i < 3; i++ {\n'
               "\t\tfmt.Println(i)\n\t}\n}\n",
    "lib.rs": "use std::collections::HashMap;\n\npub fn count(words: &[&str]) -> HashMap<String, usize> {\n"
              "    let mut map = HashMap::new();\n    for w in words {\n"
              "        *map.entry(w.to_string()).or_insert(0) += 1;\n    }\n    map\n}\n",
    "run.sh": '#!/bin/bash\nset -e\nfor f in *.txt; do\n  echo "$f"\n  grep -c needle "$f" || true\ndone\n',
    "run.bat": "@echo off\r\nsetlocal\r\nfor %%f in (*.txt) do (\r\n  echo %%f\r\n)\r\nendlocal\r\n",
    "run.ps1": "param([string]$Path)\n\nGet-ChildItem -Path $Path -Recurse |\n"
               "  Where-Object { $_.Length -gt 1MB } |\n  ForEach-Object { Write-Host $_.FullName }\n",
    "query.sql": "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n"
                 "INSERT INTO users VALUES (1, 'ann');\nSELECT name FROM users WHERE id = 1;\n",
    "page.html": "<!DOCTYPE html>\n<html>\n<head><title>Page</title></head>\n"
                 "<body><h1>Hello</h1><p>A paragraph.</p></body>\n</html>\n",
    "style.css": "body {\n  margin: 0;\n  font-family: sans-serif;\n}\n\n"
                 ".menu > li:hover {\n  color: #336699;\n}\n",
    "data.xml": '<?xml version="1.0" encoding="UTF-8"?>\n<catalog>\n  <book id="1">'
                "<title>A</title></book>\n</catalog>\n",
    "data.yaml": "name: build\non:\n  push:\n    branches: [main]\njobs:\n  test:\n    steps:\n"
                 "      - run: make\n",
    "data.toml": '[package]\nname = "demo"\nversion = "0.1.0"\n\n[dependencies]\nserde = "1.0"\n',
    "conf.ini": "[server]\nhost=localhost\nport=8080\n\n[client]\ntimeout=30\n",
    "notes.md": "# Title\n\nSome *emphasis* and a [link](https://example.org).\n\n- one\n- two\n\n"
                "```\ncode\n```\n",
    "paper.tex": "\\documentclass{article}\n\\begin{document}\n\\section{One}\n"
                 "Let $x \\in \\mathbb{R}$.\n\\end{document}\n",
    "Makefile": "all: main.o\n\tcc -o main main.o\n\nmain.o: main.c\n\tcc -c main.c\n\n.PHONY: all\n",
    "Dockerfile": "FROM debian:12\nRUN apt-get update && apt-get install -y gcc\nCOPY . /src\n"
                  'WORKDIR /src\nCMD ["make"]\n',
    "CMakeLists.txt": "cmake_minimum_required(VERSION 3.20)\nproject(demo C)\nadd_executable(demo main.c)\n",
    "change.diff": "--- a/one.txt\n+++ b/one.txt\n@@ -1,3 +1,3 @@\n line\n-old\n+new\n line\n",
    "prose.txt": "It was a bright cold day in April, and the clocks were striking thirteen. "
                 "Nobody looked up.\n" * 4,
    "spaces.txt": " \n\t" * 2000 + "the middle of nowhere, and nothing but a few words" + "  \n" * 2000,
    "short.txt": "hi\n",
    "accents.txt": "é\n",
}


def make_files(folder: pathlib.Path) -> None:
    """Files of many kinds, made by what is in Python and its packages."""
    rng = random.Random(7)
    for name, text in TEXTS.items():
        (folder / name).write_bytes(text.encode())
    text = (TEXTS["prose.txt"] * 30).encode()

    (folder / "empty").write_bytes(b"")
    (folder / "blank").write_bytes(b" \n" * 50)
    (folder / "bytes.short").write_bytes(b"\xff\xfe\x00")
    (folder / "surrogate.short").write_bytes(b"\xed\xa0\x80")
    (folder / "random.bin").write_bytes(rng.randbytes(20000))
    (folder / "block.bin").write_bytes(rng.randbytes(4096))
    (folder / "eight.bin").write_bytes(b"%PDF-1.7")
    (folder / "data.json").write_text(json.dumps({"list": list(range(300)), "text": "x"}))
    (folder / "lines.jsonl").write_text("".join(json.dumps({"id": i, "name": f"n{i}"}) + "\n"
                                                for i in range(100)))
    (folder / "text.gz").write_bytes(gzip.compress(text, mtime=0))
    (folder / "text.bz2").write_bytes(bz2.compress(text))
    (folder / "text.xz").write_bytes(lzma.compress(text))
    (folder / "object.pickle").write_bytes(pickle.dumps({"a": [1, 2.5, "three"] * 50}))
    numpy.save(folder / "array.npy", numpy.arange(5000.0))
    numpy.savez(folder / "arrays.npz", a=numpy.arange(9), b=numpy.eye(20))
    (folder / "module.py").write_text(TEXTS["area.py"])
    py_compile.compile(str(folder / "module.py"), str(folder / "module.pyc"))

    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "score"])
        writer.writerows([i, f"name {i}", i * 0.5] for i in range(200))
    with zipfile.ZipFile(folder / "archive.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("prose.txt", text)
    with tarfile.open(folder / "archive.tar", "w") as file:
        file.add(folder / "prose.txt", "prose.txt")
    with wave.open(str(folder / "noise.wav"), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes(rng.randbytes(16000))
    database = sqlite3.connect(folder / "base.sqlite")
    with database:
        database.executescript(TEXTS["query.sql"].split("SELECT")[0])
    database.close()

    picture = Image.new("RGB", (120, 80), "white")
    draw = ImageDraw.Draw(picture)
    for _ in range(60):
        draw.line([rng.randrange(120), rng.randrange(80), rng.randrange(120), rng.randrange(80)],
                  fill=(rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp", "ico", "tga", "pdf"):
        picture.save(folder / f"picture.{kind}")

    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])], "g",
        [onnx.helper.make_tensor_value_info("x", 1, [4])],
        [onnx.helper.make_tensor_value_info("y", 1, [4])])
    onnx.save(onnx.helper.make_model(graph), folder / "relu.onnx")
    program = subprocess.run(["cc", "-xc", "-", "-o", str(folder / "program")],
                             input=TEXTS["hello.c"].encode(), check=False)
    assert program.returncode == 0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    return sorted(folder.iterdir()) + [folder]


@pytest.fixture(scope="module")
def filetype(build_example):
    return build_example("filetype") / "filetype"


def test_answers_are_magikas(files, filetype):
    expected = [
        f"{result.prediction.output.label} {result.prediction.score:.3f}"
        for result in Magika().identify_paths(files)
    ]
    done = subprocess.run([filetype, "-l", *files], stdout=subprocess.PIPE, text=True, check=True)
    found = done.stdout.splitlines()
    assert len(files) > 50
    wrong = []
    for file, ours, theirs in zip(files, found, expected, strict=True):
        (label, score), (their_label, their_score) = ours.split(), theirs.split()
        if label != their_label or abs(float(score) - float(their_score)) > 0.0015:
            wrong.append(f"{file.name}: {ours}, Magika: {theirs}")
    assert not wrong, "\n".join(wrong)
    assert len({line.split()[0] for line in expected}) >= 30, "the files are of too few kinds"


def test_missing_file_is_an_error(filetype, tmp_path):
    done = subprocess.run([filetype, tmp_path / "nowhere"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "nowhere: No such file or directory" in done.stderr
