"""model.profile() and Device.SetVerbosity: the time of operations. No test asserts a time."""

import json
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest

from singa import autograd, device, layer, model, models, opt, tensor
from singa.engine import native
from singa.errors import ArgumentError, ReportError
from singa.report.hlo import Instructions
from singa.report.profile import Profile, Row, summary
from singa.report.trace import Event, runs, time_by
from singa.tensor import Tensor

pytestmark = pytest.mark.usefixtures("optimized")

CPU = device.get_default_device()
X = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
Y = np.arange(4, dtype=np.int32)

MODES = {
    "compiled": {"use_graph": True},
    "eager": {"use_graph": False},
    "sequential": {"use_graph": True, "sequential": True},
}

FORWARD = [
    "Convolution2d", "ReLU", "BatchNormalization2d", "MaxPooling2d", "Convolution2d",
    "Convolution2d", "Concat", "ReLU", "BatchNormalization2d", "AveragePooling2d", "Flatten",
    "Affine", "SoftMaxCrossEntropy",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet():
    yield
    CPU.SetVerbosity(0)
    CPU.SetSkipIteration()
    autograd.training = False


def made(make=models.CNN, **options):
    CPU.set_rand_seed(3)
    net = make()
    net.set_optimizer(opt.SGD(0.1, momentum=0.9))
    net.compile([Tensor(data=X)], is_train=True, **options)
    return net


def batch():
    return Tensor(data=X), Tensor(data=Y)


def profiled(net, calls=5, **options):
    with net.profile(**options) as profile:
        for _ in range(calls):
            net(*batch())
    return profile


@pytest.fixture(scope="module", params=MODES)
def cnn(request):
    """A model in each mode, and its profile."""
    net = made(**MODES[request.param])
    return net, profiled(net, calls=6, skip=2)


def test_every_operation_has_its_row(cnn):
    _, profile = cnn
    titles = [(row.name, row.direction) for row in profile.rows]
    for name in set(FORWARD):
        assert titles.count((name, "forward")) == FORWARD.count(name), name
        assert titles.count((name, "backward")) == FORWARD.count(name), name
    assert titles.count(("RunningAverage", "forward")) == 4
    assert titles.count(("GradientSum", "backward")) == 1
    assert titles.count(("SGD", "update")) == 1
    assert len(titles) == 2 * len(FORWARD) + 4 + 1 + 1


def test_every_timed_step_counts_once(cnn):
    _, profile = cnn
    assert (profile.iterations, profile.skipped) == (4, 2)
    assert {row.calls for row in profile.rows} == {4}
    assert profile.seconds > 0


def test_shares_are_parts_of_the_whole(cnn):
    _, profile = cnn
    assert sum(row.share for row in profile.rows) == pytest.approx(1)
    assert all(row.seconds >= 0 for row in profile.rows)
    parts = sum(profile.per_step(d) for d in ("forward", "backward", "update", "other"))
    assert parts == pytest.approx(profile.per_step())
    assert profile.per_step() * profile.iterations <= profile.seconds
    assert profile.per_step("forward") > 0
    assert profile.per_step("backward") > 0


def test_a_backward_has_the_number_of_its_forward(cnn):
    net, profile = cnn
    if net.graph_mode:
        layers = {row.key: row.layer for row in profile.rows}
        for number, name in enumerate(("conv1", "conv21", "conv22"), 1):
            assert layers["forward", "Convolution2d", number] == name
            assert layers["backward", "Convolution2d", number] == name
    numbers = [r.number for r in profile.rows if (r.name, r.direction) == ("ReLU", "backward")]
    assert numbers == [2, 1]


def test_rows_by_name(cnn):
    _, profile = cnn
    rows = {(row.name, row.direction): row for row in profile.by_name()}
    convolutions = [
        row for row in profile.rows if (row.name, row.direction) == ("Convolution2d", "forward")
    ]
    summed = rows["Convolution2d", "forward"]
    assert summed.calls == 12
    assert summed.seconds == pytest.approx(sum(row.seconds for row in convolutions))
    assert sum(row.share for row in rows.values()) == pytest.approx(1)


def test_as_a_table(cnn):
    _, profile = cnn
    lines = profile.table().splitlines()
    assert lines[0].startswith("4 steps timed, 2 skipped. ")
    assert lines[2].split()[:5] == ["operation", "layer", "direction", "calls", "ms/step"]
    assert len(lines) == 3 + len(profile.rows)
    assert any(line.startswith("Convolution2d 3 ") for line in lines)
    assert any(line.startswith("MaxPooling2d ") for line in lines)  # there is but one
    assert str(profile) == profile.table()

    few = profile.table(by="name", most=3).splitlines()
    assert len(few) == 3 + 3 + 1
    assert few[-1] == f"... and {len(profile.by_name()) - 3} more"
    with pytest.raises(ArgumentError, match="'operation' or 'name'"):
        profile.table(by="layer")


def test_as_json(cnn):
    _, profile = cnn
    read = json.loads(profile.to_json())
    assert read["iterations"] == 4
    assert len(read["rows"]) == len(profile.rows)
    for row, found in zip(profile.rows, read["rows"], strict=True):
        lists = {name: tuple(found[name]) for name in ("includes", "part_of", "exchanges")}
        assert Row(**{**found, **lists}) == row


def test_a_compiled_step_says_what_was_fused():
    profile = profiled(made(use_graph=True))
    rows = {row.key: row for row in profile.rows}

    # XLA computes the second ReLU's gradient within loops of others.
    fused = rows["backward", "ReLU", 2]
    assert fused.seconds == 0
    assert fused.part_of
    home = next(row for row in profile.rows if "ReLU 2 backward" in row.includes)
    assert home.seconds > 0
    assert f"in {fused.part_of[0]}" in profile.table()
    if native.available:  # and the first ReLU is applied by the convolution before it
        assert rows["forward", "ReLU", 1].part_of == ("Convolution2d 1",)
    assert not [row for row in profile.rows if row.direction == "other"]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_changes_by_being_looked_at(mode):
    plain, watched = made(**MODES[mode]), made(**MODES[mode])
    for _ in range(6):
        expected = [t.to_numpy() for t in plain(*batch())]
    key = tensor.random_key(CPU).to_numpy()

    with watched.profile(skip=1, limit=3):
        for _ in range(6):
            found = [t.to_numpy() for t in watched(*batch())]

    np.testing.assert_equal(found, expected)
    for one, other in ((plain, watched), (plain.optimizer, watched.optimizer)):
        states, others = one.get_states(), other.get_states()
        assert len(states) == len(others)
        for a, b in zip(states.values(), others.values(), strict=True):
            np.testing.assert_array_equal(a.to_numpy(), b.to_numpy())
    np.testing.assert_array_equal(tensor.random_key(CPU).to_numpy(), key)
    assert (watched.captures, watched.compilations) == (plain.captures, plain.compilations)
    assert watched.graph_mode == plain.graph_mode


def test_steps_that_compile_are_not_timed():
    net = made(models.MLP, use_graph=True)
    profile = profiled(net, calls=4, skip=0)
    assert net.compilations > 0
    assert profile.iterations + profile.skipped == 4
    assert profile.skipped == net.captures


def test_no_more_are_timed_than_asked_for():
    profile = profiled(made(models.MLP, use_graph=True), calls=9, skip=2, limit=3)
    assert profile.iterations == 3


def test_too_few_steps():
    profile = profiled(made(models.MLP, use_graph=True), calls=1)
    assert (profile.iterations, profile.rows) == (0, [])
    assert str(profile) == "No step was timed, 1 skipped"
    assert json.loads(profile.to_json())["rows"] == []
    assert profile.per_step() == 0


def test_evaluation_and_training_in_one_profile():
    net = made(models.MLP, use_graph=True)
    with net.profile(skip=0) as profile:
        for _ in range(3):
            net.train()
            net(*batch())
            net.eval()
            net(Tensor(data=X))
    calls = {row.key: row.calls for row in profile.rows}
    assert calls["forward", "Affine", 1] == profile.iterations
    assert 0 < calls["backward", "Affine", 1] < profile.iterations


def test_shared_weights_and_streamed_updates():
    class Net(model.Model):
        def __init__(self):
            super().__init__()
            self.linear = layer.Linear(5)
            self.optimizer = opt.SGD(opt.ExponentialDecay(0.1, 10, 0.9))

        def forward(self, x):
            return self.linear(autograd.relu(self.linear(x)))

        def train_one_batch(self, x):
            loss = autograd.reduce_mean(self.forward(x))
            for p, g in autograd.backward(loss):
                self.optimizer.update(p, g * 0.5)
            return loss

    names = []
    for options in MODES.values():
        net = Net()
        x = Tensor(data=X.reshape(4, 64)[:, :5])
        net.compile([x], is_train=True, **options)
        with net.profile() as profile:
            for _ in range(4):
                net(x)
        rows = {row.key for row in profile.rows}
        assert {("update", "SGD", 1), ("update", "SGD", 2)} <= rows
        assert {("backward", "GradientSum", 1), ("backward", "Affine", 2)} <= rows
        assert ("update", "Mul", 1) in rows
        assert ("update", "ExponentialDecay", 1) in rows
        names.append(rows)
    assert names[0] == names[2]
    assert names[0] <= names[1]


# -- what can go wrong ---------------------------------------------------------------------------


def test_it_is_complete_only_afterwards():
    net = made(models.MLP, use_graph=True)
    with net.profile() as profile:
        net(*batch())
        assert not profile.is_complete
        assert str(profile) == "<Profile, not complete yet>"
        for ask in (profile.table, profile.to_json, profile.by_name, profile.per_step):
            with pytest.raises(ReportError, match="when the block"):
                ask()
    assert profile.is_complete
    assert repr(profile) == "<Profile of 0 steps, 0 operations>"


def test_one_profile_at_a_time():
    net, other = made(models.MLP, use_graph=True), made(models.MLP, use_graph=True)
    with net.profile(skip=0):
        net(*batch())
        with pytest.raises(ReportError, match="one of this model"), net.profile():
            pass
        with pytest.raises(ReportError, match="one at a time"), other.profile(skip=0):
            other(*batch())
    assert profiled(net).iterations == 3


def test_somebody_else_uses_the_profiler(tmp_path):
    net = made(models.MLP, use_graph=True)
    net(*batch())
    with jax.profiler.trace(tmp_path), pytest.raises(ReportError, match="in use already"):
        profiled(net, skip=0)
    assert profiled(net).iterations == 3


def test_a_failing_step_and_a_failing_block():
    net = made(models.MLP, use_graph=False)
    with net.profile(skip=0) as profile:
        net(*batch())
        with pytest.raises(ValueError, match="target"):
            net(Tensor(data=X), Tensor(data=Y[:2]))
    assert (profile.iterations, profile.skipped) == (1, 1)

    def fail():
        with net.profile(skip=0) as profile:
            failed.append(profile)
            net(*batch())
            raise KeyError

    failed = []
    with pytest.raises(KeyError):
        fail()
    [profile] = failed
    assert profile.iterations == 1
    assert net._profiler is None


@pytest.mark.parametrize("options", [{"skip": -1}, {"skip": 1.5}, {"skip": True}, {"limit": 0}])
def test_nonsense_is_refused(options):
    [name] = options
    with pytest.raises(ArgumentError, match=name), made(models.MLP).profile(**options):
        pass


def test_nothing_is_left_on_the_disk():
    before = set(Path(tempfile.gettempdir()).glob("singa-profile-*"))
    profiled(made(models.MLP, use_graph=True))
    assert set(Path(tempfile.gettempdir()).glob("singa-profile-*")) <= before


# -- SINGA's way: the device takes the time ------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_device_prints_forward_and_backward(mode, capsys):
    net = made(models.MLP, **MODES[mode])
    CPU.SetVerbosity(1)
    CPU.SetSkipIteration(2)
    for _ in range(4):
        net(*batch())
    CPU.PrintTimeProfiling()
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "Time Profiling:"
    words = ["Forward Propagation Time", "Backward Propagation Time", "Update Time"]
    assert [line.split(" : ")[0] for line in lines] == words
    assert all(float(line.split(" : ")[1].removesuffix(" sec")) > 0 for line in lines)


def test_the_device_prints_a_line_for_each_operation(capsys):
    net = made(use_graph=True)
    CPU.set_verbosity(2)
    CPU.set_skip_iteration(2)
    for _ in range(5):
        net(*batch())
    CPU.print_time_profiling()
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].startswith("OP_ID0. Convolution2d 1 : ")
    assert any(line.startswith("OP_ID30. Convolution2d 1 backward : ") for line in lines)
    assert lines[-1].startswith("OP_ID31. SGD update : ")
    # Averages are over the steps that were timed, and no others.
    assert CPU.profiler.profile.iterations == 3


def test_only_communication(capsys):
    net = made(models.MLP, use_graph=True)
    CPU.SetVerbosity(3)
    CPU.SetSkipIteration(0)
    for _ in range(3):
        net(*batch())
    CPU.PrintTimeProfiling()
    assert capsys.readouterr().out == (
        "Time Profiling:\nno communication operations in these steps\n"
    )
    profile = Profile()
    profile.iterations, profile.is_complete = 2, True
    profile.rows = [Row("Dist_AllReduce", "backward", 1, "", 2, 0.5, 0.5)]
    assert summary(profile, 3).splitlines()[1:] == [
        "OP_ID0. Dist_AllReduce backward : 0.250000000 sec"
    ]


def test_a_report_is_of_the_steps_since_the_last_one(capsys):
    net = made(models.MLP, use_graph=True)
    CPU.SetVerbosity(1)
    CPU.SetSkipIteration(2)
    for _ in range(5):
        net(*batch())
    CPU.PrintTimeProfiling()
    assert CPU.profiler.profile.iterations == 3
    CPU.PrintTimeProfiling()  # nothing has run: the same again
    first, second = capsys.readouterr().out.split("Time Profiling:")[1:]
    assert first == second
    net(*batch())
    CPU.PrintTimeProfiling()
    assert CPU.profiler.profile.iterations == 1


def test_the_device_says_why_there_is_nothing(capsys):
    net = made(models.MLP, use_graph=True)
    CPU.PrintTimeProfiling()
    CPU.SetVerbosity(1)
    CPU.PrintTimeProfiling()
    net(*batch())
    CPU.PrintTimeProfiling()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "Time Profiling: off; SetVerbosity(1) before the training turns it on",
        "Time Profiling: no step was timed",
        "Time Profiling: no step was timed, 1 skipped",
    ]


def test_a_models_own_profile_goes_first():
    net = made(models.MLP, use_graph=True)
    CPU.SetVerbosity(1)
    CPU.SetSkipIteration(0)
    for _ in range(3):
        net(*batch())
    assert profiled(net).iterations == 3
    net(*batch())
    assert CPU.profiler.summary(1).startswith("Time Profiling:\nForward")


def test_without_verbosity_nothing_is_timed():
    net = made(models.MLP, use_graph=True)
    CPU.SetVerbosity(1)
    CPU.SetVerbosity(0)
    for _ in range(8):
        net(*batch())
    assert CPU.profiler is None


@pytest.mark.parametrize("verbosity", [-1, 4, 1.5, True, "2"])
def test_verbosity_is_checked(verbosity):
    with pytest.raises(ArgumentError, match="0, 1, 2 or 3"):
        CPU.SetVerbosity(verbosity)


@pytest.mark.parametrize("skip", [-1, 1.5, True, "2"])
def test_skip_iteration_is_checked(skip):
    with pytest.raises(ArgumentError, match="number of steps"):
        CPU.SetSkipIteration(skip)


# -- the parts ------------------------------------------------------------------------------------


def event(start, end, instruction, run=None, module="jit_f", program=None):
    return Event(start, end, module, program, instruction, run)


def test_time_is_shared_by_what_runs_side_by_side():
    events = [event(0, 10, "a"), event(4, 6, "b"), event(12, 20, "a"), event(5, 6, "c")]
    times = time_by(events, lambda e: e.instruction)
    assert times == pytest.approx({"a": 16 + 0.5 + 1 / 3, "b": 0.5 + 1 / 3, "c": 1 / 3})
    assert sum(times.values()) == pytest.approx(18)  # as long as anything ran


def test_a_device_that_lists_everything_twice_does_no_harm():
    events = [event(0, 10, "a"), event(2, 4, "b")]
    once = time_by(events, lambda e: e.instruction)
    assert time_by(events * 2, lambda e: e.instruction) == pytest.approx(once)


def test_a_loop_has_the_time_that_its_parts_leave():
    events = [event(0, 10, "while"), event(2, 5, "body"), event(6, 6, "nothing")]
    times = time_by(events, lambda e: e.instruction, lambda e: e.instruction == "while")
    assert times == {"while": 7, "body": 3}


def test_runs_are_told_apart_and_put_in_order():
    # Two runs of one program overtake one another; another program of that name stands apart.
    numbered = [event(0, 1, "a", 8), event(1, 2, "a", 7), event(2, 3, "b", 8), event(3, 4, "b", 7)]
    numbered.append(event(5, 6, "a", 3, program=2))
    assert [[e.run for e in run] for run in runs(numbered)] == [[7, 7], [8, 8], [3]]
    # A device that does not number runs: an instruction that comes again is of the next one.
    bare = [event(i, i + 1, name) for i, name in enumerate("abcabca")]
    assert ["".join(e.instruction for e in run) for run in runs(bare)] == ["abc", "abc", "a"]


HLO = """\
HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[4]{0})->f32[4]{0}}

%fused (p.0: f32[4], p.1: f32[4]) -> f32[4] {
  %p.0 = f32[4]{0} parameter(0)
  %p.1 = f32[4]{0} parameter(1)
  %c = f32[] constant(0), metadata={op_name="jit(step)/op.9/jit(ReLU)"}
  %max = f32[4]{0} maximum(%p.0, %p.1), metadata={op_name="jit(step)/op.1/jit(ReLU)/max"}
  ROOT %mul = f32[4]{0} multiply(%max, %p.1), metadata={op_name="jit(step)/op.2/jit(Mul)/mul"}
}

%body (s: (s32[], f32[4])) -> (s32[], f32[4]) {
  %s = (s32[], /*index=1*/f32[4]{0}) parameter(0)
  ROOT %step = (s32[], f32[4]{0}) custom-call(%s), metadata={op_name="jit(step)/op.3/while/body"}
}

%condition (s.1: (s32[], f32[4])) -> pred[] {
  %s.1 = (s32[], f32[4]{0}) parameter(0)
  ROOT %less = pred[] custom-call(%s.1)
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %x = f32[4]{0:T(8)} parameter(0)
  %copy.1 = f32[4]{0} copy(%x)
  %loop_fusion = f32[4]{0} fusion(%copy.1, %x), kind=kLoop, calls=%fused
  %transposed = f32[4]{0} transpose(%loop_fusion), dimensions={0}
  %while.1 = (s32[], f32[4]{0}) while(%transposed), condition=%condition, body=%body
  %gemm = (f32[4]{0}, s8[8]{0}) custom-call(%while.1), custom_call_target="__cublas$gemm",\
 metadata={op_name="jit(step)/op.4/jit(Matmul)/dot_general" source_line=3}
  %native = f32[4]{0} custom-call(%gemm), metadata={op_name="jit(step)/op.5/op.6/jit(C_ReLU)"}
  ROOT %copy.2 = f32[4]{0} copy(%native)
}
"""


def test_instructions_and_their_operations():
    program = Instructions(HLO)
    assert program.module == "jit_step"
    work = {name: program.work(name) for name in program.instructions}
    assert work["copy.1"].operation == 1  # for whom it is made
    assert work["loop_fusion"].operation == 2  # whose result it is
    assert work["loop_fusion"].includes == {1}
    assert work["transposed"].operation == 3  # for whom it is transposed
    assert work["while.1"].is_container
    assert work["step"].operation == 3
    assert work["gemm"].operation == 4
    assert work["native"].operation == 5
    assert work["native"].includes == {6}  # fused before XLA saw it
    assert work["copy.2"].operation == 5  # nobody takes it: whose result it is
    assert "gemm" in program
    assert "cutlass_kernel" not in program
