from sst_keras.errors import InputError, UsageError


def test_exit_codes():
    assert InputError("x").exit_code == 1
    assert UsageError("x").exit_code == 2
    assert issubclass(UsageError, InputError) and issubclass(InputError, ValueError)


def test_the_setting_opens_the_message():
    error = UsageError("expected a folder", setting="run_dir")
    assert str(error) == "run_dir: expected a folder"
    assert (error.message, error.setting) == ("expected a folder", "run_dir")
    assert (str(InputError("x")), InputError("x").setting) == ("x", "")
