"""examples/vad marks what Debian's espeak-ng says, between silence and noise,
as each of the models does in ONNX Runtime."""

import importlib.util
import pathlib
import re
import subprocess
import wave

import numpy
import onnxruntime
import pytest

DATA = pathlib.Path(importlib.util.find_spec("silero_vad").submodule_search_locations[0]) / "data"
# The models, and the rates that they know.
MODELS = {
    "silero_vad": (16000, 8000),
    "silero_vad_half": (16000,),
    "silero_vad_16k_op15": (16000,),
    "silero_vad_16k_sequence": (16000,),
    "silero_vad_openvino_16k": (16000,),
    "silero_vad_op18_ifless": (16000, 8000),
}
WINDOW = {16000: 512, 8000: 256}
CONTEXT = {16000: 64, 8000: 32}


def speak(folder: pathlib.Path, text: str, rate: int, *options: str) -> numpy.ndarray:
    file = folder / "spoken.wav"
    subprocess.run(["espeak-ng", *options, "-w", file, text], check=True)
    with wave.open(str(file)) as spoken:
        samples = numpy.frombuffer(spoken.readframes(spoken.getnframes()), numpy.int16)
        at = numpy.arange(samples.size * rate // spoken.getframerate())
        return numpy.interp(at * (spoken.getframerate() / rate), numpy.arange(samples.size), samples)


def write(file: pathlib.Path, samples: numpy.ndarray, rate: int) -> pathlib.Path:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(rate)
        out.writeframes(numpy.clip(samples, -32768, 32767).astype("<i2").tobytes())
    return file


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Files by their rate, each with where the speech is in seconds."""
    folder = tmp_path_factory.mktemp("recordings")
    result = {}
    for rate in WINDOW:
        rng = numpy.random.default_rng(5)

        def silence(seconds, rate=rate):
            return numpy.zeros(int(seconds * rate))

        def noise(seconds, loud, rate=rate, rng=rng):
            return rng.normal(0, loud, int(seconds * rate))

        hello = speak(folder, "Hello, this is a short test of the detector.", rate)
        more = speak(folder, "Neural networks are compiled ahead of time.", rate, "-v", "en+f3")
        german = speak(folder, "Guten Tag, heute ist ein schöner Tag.", rate, "-v", "de")
        quiet = speak(folder, "and the last words are spoken softly", rate, "-s", "140") * 0.3
        parts = {
            "silence": [silence(1.2), hello, silence(0.9), more, silence(1)],
            "noise": [noise(1.5, 300), german + noise(german.size / rate, 100)[: german.size],
                      noise(1, 300), hello, noise(1.3, 200)],
            "near": [hello, silence(0.12), more, silence(0.05), german],
            "quiet": [silence(0.5), quiet, noise(2, 50), quiet],
            "none": [silence(1), noise(2, 400)],
            "short": [noise(0.01, 100)],
        }
        result[rate] = [write(folder / f"{name}-{rate}.wav", numpy.concatenate(sounds), rate)
                        for name, sounds in parts.items()]
        # No window at all, and a stream's file, whose length nobody knew.
        result[rate].append(write(folder / f"empty-{rate}.wav", numpy.zeros(0), rate))
        streamed = bytearray((folder / f"silence-{rate}.wav").read_bytes())
        streamed[4:8] = streamed[40:44] = b"\xff" * 4
        (folder / f"stream-{rate}.wav").write_bytes(streamed)
        result[rate].append(folder / f"stream-{rate}.wav")
    return result


def read(file: pathlib.Path) -> numpy.ndarray:
    return numpy.frombuffer(file.read_bytes()[44:], "<i2").astype(numpy.float32) / 32768


def make_frames(samples: numpy.ndarray, rate: int) -> numpy.ndarray:
    """Each window behind the end of the one before."""
    window, context = WINDOW[rate], CONTEXT[rate]
    count = -(-samples.size // window)
    padded = numpy.zeros(context + count * window, numpy.float32)
    padded[context : context + samples.size] = samples
    return numpy.stack([padded[i * window : (i + 1) * window + context] for i in range(count)]
                       or [numpy.zeros((window + context,), numpy.float32)])[:count]


def reference_probabilities(session, samples: numpy.ndarray, rate: int) -> numpy.ndarray:
    names = {value.name for value in session.get_inputs()}
    frames = make_frames(samples, rate)
    if "state" not in names:
        # At once: this model takes one recording's windows as its batch.
        if not len(frames):
            return numpy.zeros(0)
        zeros = numpy.zeros((1, 1, 128), numpy.float32)
        return session.run(["speech_probs"], {"input": frames, "h": zeros, "c": zeros})[0]
    state = numpy.zeros((2, 1, 128), numpy.float32)
    result = []
    for frame in frames:
        inputs = {"input": frame[None], "state": state, "sr": numpy.array(rate)}
        probability, state = session.run(
            ["output", "stateN"], {name: inputs[name] for name in names})
        result.append(probability.item())
    return numpy.array(result)


def reference_segments(probabilities, rate: int, length: int) -> list[tuple[int, int]]:
    """As the package's get_speech_timestamps_from_probs has it, with its defaults."""
    window, pad, speeches, start, end = WINDOW[rate], rate * 30 // 1000, [], None, 0
    for i, probability in enumerate(probabilities):
        at = window * i
        if probability >= 0.5:
            end = 0
            if start is None:
                start = at
        elif probability < 0.5 - 0.15 and start is not None:
            end = end or at
            if at - end >= rate * 0.1:
                if end - start > rate * 0.25:
                    speeches.append([start, end])
                start, end = None, 0
    if start is not None and length - start > rate * 0.25:
        speeches.append([start, length])
    for i, speech in enumerate(speeches):
        if i == 0:
            speech[0] = max(0, speech[0] - pad)
        if i + 1 < len(speeches):
            pause = speeches[i + 1][0] - speech[1]
            by = pause // 2 if pause < 2 * pad else pad
            speech[1] += by
            speeches[i + 1][0] -= by
        else:
            speech[1] = min(length, speech[1] + pad)
    return [tuple(speech) for speech in speeches]


@pytest.fixture(scope="module")
def vad(build_example):
    return build_example("vad") / "vad"


@pytest.mark.parametrize("model,rate", [(m, r) for m, rates in MODELS.items() for r in rates])
def test_marks_as_onnx_runtime_does(vad, recordings, model, rate):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(DATA / f"{model}.onnx", options)
    files = recordings[rate]
    marked = subprocess.run([vad, "-m", model, *files], stdout=subprocess.PIPE, text=True, check=True).stdout
    printed = subprocess.run([vad, "-m", model, "-p", *files], stdout=subprocess.PIPE, text=True, check=True).stdout
    counts = []
    for file in files:
        samples = read(file)
        expected = reference_probabilities(session, samples, rate)
        found = [float(p) for p in re.findall(rf"^{file}: ([\d.]+)$", printed, re.M)]
        assert len(found) == len(expected)
        # The states go round: a difference in one run is one in all that follow.
        numpy.testing.assert_allclose(found, expected, atol=1e-4, err_msg=str(file))
        segments = [(int(a), int(b)) for a, b in re.findall(rf"^{file}: (\d+) to (\d+) ", marked, re.M)]
        assert segments == reference_segments(expected, rate, samples.size), file
        assert bool(segments) != (f"{file}: no speech" in marked)
        counts.append(len(segments))
    by_name = dict(zip([file.name.split("-")[0] for file in files], counts))
    assert by_name["silence"] >= 2 and by_name["noise"] >= 2, "the model hears no speech"
    assert by_name["none"] == by_name["short"] == by_name["empty"] == 0
    assert by_name["stream"] == by_name["silence"]


@pytest.mark.parametrize("rate,model,message", [
    (44100, "silero_vad", "expected 16000 or 8000 samples a second"),
    (8000, "silero_vad_half", "expected 16000 samples a second for this model"),
])
def test_a_rate_that_is_not_known(vad, tmp_path, rate, model, message):
    file = write(tmp_path / "rate.wav", numpy.zeros(rate), rate)
    done = subprocess.run([vad, "-m", model, file], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert f"rate.wav: {message}" in done.stderr


def test_files_that_are_no_recordings(vad, tmp_path):
    (tmp_path / "text.wav").write_text("this is no sound")
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as out:
        out.setnchannels(2), out.setsampwidth(2), out.setframerate(16000)
        out.writeframes(bytes(4000))
    files = [tmp_path / name for name in ("text.wav", "stereo.wav", "nowhere.wav")]
    done = subprocess.run([vad, *files], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "text.wav: expected a WAV file" in done.stderr
    assert "stereo.wav: expected one channel of 16-bit samples" in done.stderr
    assert "nowhere.wav: No such file or directory" in done.stderr


def test_unknown_model(vad):
    done = subprocess.run([vad, "-m", "other", "x.wav"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "unknown model 'other'; expected one of silero_vad silero_vad_half" in done.stderr
