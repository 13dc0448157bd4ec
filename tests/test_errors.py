from sst_keras.errors import InputError, UsageError


def test_exit_codes():
    assert InputError("x").exit_code == 1
    assert UsageError("x").exit_code == 2
    assert issubclass(UsageError, InputError) and issubclass(InputError, ValueError)
