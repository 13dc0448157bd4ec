import re

from sst_keras.serving import openapi
from sst_keras.serving.server import Limits


class Model:
    def __init__(self, *signatures):
        self.signatures = signatures


def test_the_description_is_complete():
    models = {"films": {3: Model("serving_default")}}
    document = openapi.document(models, Limits(texts=7, characters=9))
    assert document["openapi"] == "3.1.0"
    text = str(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"]
    predict = document["paths"]["/v1/models/{name}:predict"]["post"]
    assert set(predict["responses"]) == {"200", "400", "403", "404", "413", "429", "503", "504"}
    (name,) = predict["parameters"]
    assert name["schema"]["enum"] == ["films"]
    row, column = predict["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert row["properties"]["instances"]["oneOf"][0]["maxItems"] == 7
    assert column["required"] == ["inputs"]
    assert document["components"]["schemas"]["Text"]["oneOf"][0]["maxLength"] == 9
    assert row["properties"]["signature_name"]["enum"] == ["serving_default", ""]
    models["films"][4] = Model("explain", "serving_default")
    assert "['explain', 'serving_default', '']" in str(openapi.document(models, Limits()))
    for method in ("classify", "regress"):
        refused = document["paths"][f"/v1/models/{{name}}:{method}"]["post"]
        assert "200" not in refused["responses"] and "400" in refused["responses"]
    batch = document["paths"]["/api/batch"]["post"]["responses"]["200"]["content"]
    assert list(batch) == ["text/csv", "text/tab-separated-values", "application/jsonl"]
    assert all(
        "403" in operation["responses"]
        for methods in document["paths"].values()
        for operation in methods.values()
    )
    # Each parameter in a path is described.
    for path, methods in document["paths"].items():
        for operation in methods.values():
            parameters = operation.get("parameters", [])
            found = [each["name"] for each in parameters if each["in"] == "path"]
            assert found == re.findall(r"{(\w+)}", path)
