"""What ``import ldlstudy`` offers."""

import inspect
import subprocess
import sys

import pytest

import ldlstudy


def test_every_name_of_the_face_is_there():
    face = {name: getattr(ldlstudy, name) for name in ldlstudy.__all__}
    modules = {name for name, part in face.items() if inspect.ismodule(part)}
    assert all(face[name].__name__ == f"ldlstudy.{name}" for name in modules)
    assert all(face[name].__name__ == name for name in face if name not in modules)
    exec("from ldlstudy import *", loaded := {})
    assert {name: loaded[name] for name in face} == face
    assert all(inspect.getdoc(part) for part in face.values())


def test_a_name_that_the_face_does_not_have():
    with pytest.raises(AttributeError, match="module 'ldlstudy' has no attribute 'trane'"):
        _ = ldlstudy.trane


def test_importing_the_package_does_not_load_torch():
    code = "import sys, ldlstudy; print('torch' in sys.modules, ldlstudy.__version__)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", ldlstudy.__version__]
