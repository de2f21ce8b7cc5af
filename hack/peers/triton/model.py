"""A Python backend that runs the ONNX model beside it: the wheel's Triton has no backend of its own for it."""
import json
import os
import sys

# The server's embedded interpreter does not look at PYTHONPATH by itself.
sys.path[:0] = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]

import numpy
import onnxruntime
import triton_python_backend_utils as backend


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.input = config["input"][0]["name"]
        self.outputs = [o["name"] for o in config["output"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def execute(self, requests):
        rows = [backend.get_input_tensor_by_name(r, self.input).as_numpy() for r in requests]
        values = self.session.run(self.outputs, {self.input: numpy.concatenate(rows)})
        responses, at = [], 0
        for r in rows:
            tensors = [backend.Tensor(n, numpy.ascontiguousarray(v[at : at + len(r)])) for n, v in zip(self.outputs, values)]
            responses.append(backend.InferenceResponse(output_tensors=tensors))
            at += len(r)
        return responses
