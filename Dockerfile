# Serves an ONNX or LiteRT artifact, without TensorFlow; see docs/serving.md.
#   docker build -t distill-serve .
#   docker run -p 8501:8501 -v "$PWD/runs/export:/export:ro" distill-serve \
#     --artifact=/export/model.onnx
FROM python:3.11-slim
ENV PIP_NO_CACHE_DIR=1
WORKDIR /opt/distill
COPY requirements-serve.txt ./
RUN pip install -r requirements-serve.txt
COPY pyproject.toml README.md LICENSE ./
COPY models ./models
COPY distill ./distill
RUN pip install --no-deps .
WORKDIR /srv
USER nobody
EXPOSE 8501
ENTRYPOINT ["python", "-m", "distill", "serve", "--host=0.0.0.0"]
