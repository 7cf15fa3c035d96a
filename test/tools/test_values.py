"""Strings, sequences and optional values in a C program: who owns what. It runs
under the address sanitizer, which tells of leaks and of wild reads."""

import pathlib
import shutil
import subprocess

import onnx
import pytest
from onnx import TensorProto, helper

DLC = pathlib.Path(__file__).resolve().parents[2] / "build/bin/dlc"
COMPILER = shutil.which("clang-22") or shutil.which("cc")

PROGRAM = r"""
#include "m.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(x) if (!(x)) { printf("%d: %s\n", __LINE__, #x); return 1; }

int main(void) {
  const char *words[2] = {"ab", "c"}, *tails[1] = {"!"};
  float first[3] = {1, 2, 3}, second[2] = {4, 5};
  int64_t three = 3, two = 2;
  dlc_item items[2] = {{first, &three, 1}, {second, &two, 1}};
  dlc_sequence given = {2, items}, optional = {1, items}, absent = {0, NULL};
  dlc_sequence grown;
  const char *joined[2];
  uint8_t has;
  char error[200];
  dlc_options options = {0};
  m_inputs in = {words, tails, 1, &given, &optional};
  m_outputs out = {joined, NULL, 0, {0}, &grown, &has};

  options.size = sizeof options;
  options.error = error;
  options.error_size = sizeof error;
  for (int turn = 0; turn < 2; ++turn) {
    CHECK(m_run(&in, &out, &options) == 0);
    CHECK(!strcmp(joined[0], "ab!") && !strcmp(joined[1], "c!"));
    free((void *)joined[0]);
    CHECK(out.again_shape[0] == 1 && !strcmp(out.again[0], "!!"));
    free(out.again);
    out.again = NULL;
    CHECK(grown.count == 3 && grown.items[2].shape[0] == 3);
    CHECK(((float *)grown.items[1].data)[1] == 5);
    free(grown.items);
    CHECK(has == 1);
  }

  in.optional = &absent;
  CHECK(m_run(&in, &out, NULL) == 0 && has == 0);
  free((void *)joined[0]);
  free(out.again);
  free(grown.items);

  given.count = -1;
  CHECK(m_run(&in, &out, &options) == DLC_ERROR_VALUE);
  CHECK(strstr(error, "input 'sequence' (sequence of float): its count is negative"));
  given.count = 2;
  absent.count = 2;
  CHECK(m_run(&in, &out, &options) == DLC_ERROR_VALUE);
  CHECK(strstr(error, "its count is not 0 or 1"));
  absent.count = 0;
  three = -3;
  CHECK(m_run(&in, &out, &options) == DLC_ERROR_VALUE);
  CHECK(strstr(error, "an item has a negative size"));
  three = 3;
  items[0].data = NULL;
  CHECK(m_run(&in, &out, &options) == DLC_ERROR_VALUE);
  CHECK(strstr(error, "the data of an item is NULL"));
  items[0].data = first;
  items[1].shape = NULL;
  CHECK(m_run(&in, &out, &options) == DLC_ERROR_VALUE);
  CHECK(strstr(error, "an item has no shape"));
  given.items = NULL;
  CHECK(m_run(&in, &out, &options) == DLC_ERROR_VALUE);
  CHECK(strstr(error, "its items are NULL"));
  in.sequence = NULL;
  CHECK(m_run(&in, &out, &options) == DLC_ERROR_NULL_POINTER);

  const dlc_model *model = m_model();
  CHECK(model->inputs[0].dtype == DLC_STRING);
  CHECK(model->inputs[2].dtype == (DLC_FLOAT32 | DLC_SEQUENCE) && model->inputs[2].rank == 0);
  CHECK(model->inputs[3].dtype == (DLC_FLOAT32 | DLC_OPTIONAL));
  return 0;
}
"""


def save_model(path):
    info = helper.make_tensor_value_info
    numbers = helper.make_tensor_type_proto(TensorProto.FLOAT, [None])
    sequence = helper.make_sequence_type_proto(numbers)
    nodes = [
        helper.make_node("StringConcat", ["words", "tails"], ["joined"]),
        helper.make_node("StringConcat", ["tails", "tails"], ["again"]),
        helper.make_node("SequenceAt", ["sequence", "zero"], ["item"]),
        helper.make_node("SequenceInsert", ["sequence", "item"], ["grown"]),
        helper.make_node("OptionalHasElement", ["optional"], ["has"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            info("words", TensorProto.STRING, [2]),
            info("tails", TensorProto.STRING, ["n"]),
            helper.make_value_info("sequence", sequence),
            helper.make_value_info("optional", helper.make_optional_type_proto(numbers)),
        ],
        [
            info("joined", TensorProto.STRING, [2]),
            info("again", TensorProto.STRING, ["n"]),
            helper.make_value_info("grown", sequence),
            info("has", TensorProto.BOOL, []),
        ],
        [helper.make_tensor("zero", TensorProto.INT64, [], [0])],
    )
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


@pytest.mark.parametrize("sanitizer", [[], ["-fsanitize=address"]])
def test_values_in_c(tmp_path, sanitizer):
    save_model(tmp_path / "m.onnx")
    (tmp_path / "main.c").write_text(PROGRAM)
    subprocess.run([DLC, "m.onnx", "-o", "m.o"], cwd=tmp_path, check=True)
    build = [COMPILER, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", *sanitizer]
    made = subprocess.run(
        [*build, "main.c", "m.o", "-o", "main", "-lm", "-lpthread"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    if made.returncode and sanitizer and "asan" in made.stderr:
        pytest.skip("the compiler has no address sanitizer")
    assert made.returncode == 0, made.stderr
    ran = subprocess.run([tmp_path / "main"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


MAPS_PROGRAM = r"""
#include "maps.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(x) if (!(x)) { printf("%d: %s\n", __LINE__, #x); return 1; }

int main(void) {
  const char *names[2] = {"weight", "height"};
  float numbers[2] = {2, 3}, scores[4] = {1, 2, 3, 4}, row[2];
  dlc_map given = {2, names, numbers};
  dlc_maps zipped;
  char error[200];
  dlc_options options = {0};
  maps_inputs in = {&given, scores, 2};
  maps_outputs out = {row, &zipped};

  options.size = sizeof options;
  options.error = error;
  options.error_size = sizeof error;
  for (int turn = 0; turn < 2; ++turn) {
    CHECK(maps_run(&in, &out, &options) == 0);
    CHECK(row[0] == 3 && row[1] == 0);
    CHECK(zipped.count == 2 && zipped.items[0].count == 2);
    CHECK(!strcmp(((char **)zipped.items[1].keys)[1], "yes"));
    CHECK(((float *)zipped.items[1].values)[0] == 3);
    free(zipped.items);
  }
  in.n = 0;
  given.count = 0;
  CHECK(maps_run(&in, &out, NULL) == 0 && zipped.count == 0 && !zipped.items && row[0] == 0);
  in.n = 2;

  given.count = -1;
  CHECK(maps_run(&in, &out, &options) == DLC_ERROR_VALUE);
  CHECK(strstr(error, "input 'features' (map: string to float): its count is negative"));
  given.count = 2;
  given.keys = NULL;
  CHECK(maps_run(&in, &out, &options) == DLC_ERROR_VALUE && strstr(error, "its keys are NULL"));
  given.keys = names;
  given.values = NULL;
  CHECK(maps_run(&in, &out, &options) == DLC_ERROR_VALUE && strstr(error, "its values are NULL"));
  in.features = NULL;
  CHECK(maps_run(&in, &out, &options) == DLC_ERROR_NULL_POINTER);

  const dlc_model *model = maps_model();
  CHECK(model->inputs[0].dtype == (DLC_FLOAT32 | DLC_MAP | DLC_STRING_KEYS));
  CHECK(model->outputs[1].dtype == (DLC_FLOAT32 | DLC_MAP | DLC_SEQUENCE | DLC_STRING_KEYS));
  return 0;
}
"""


def test_maps_in_a_c_program(tmp_path):
    info = helper.make_tensor_value_info
    kind = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    nodes = [
        helper.make_node("DictVectorizer", ["features"], ["row"], domain="ai.onnx.ml",
                         string_vocabulary=["height", "length"]),
        helper.make_node("ZipMap", ["scores"], ["zipped"], domain="ai.onnx.ml",
                         classlabels_strings=["no", "yes"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_value_info("features", kind), info("scores", TensorProto.FLOAT, ["n", 2])],
        [info("row", TensorProto.FLOAT, [1, 2]),
         helper.make_value_info("zipped", helper.make_sequence_type_proto(kind))],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "maps.onnx")
    (tmp_path / "app.c").write_text(MAPS_PROGRAM)
    for command in (
        [DLC, "maps.onnx", "-o", "maps.o"],
        [COMPILER, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsanitize=address", "app.c", "maps.o",
         "-o", "app", "-lm", "-lpthread"],
        ["./app"],
    ):  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
