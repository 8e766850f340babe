# The three images, from one Dockerfile: `docker buildx bake` builds them under the
# names that the graph asks for. `docker buildx bake release` pushes them, with no tag:
# cloudbuild.yaml gives the tag after the scan. Every variable can be set in the
# environment.
variable "BASE_IMAGE" { default = "docker.io/library/python:3.11.16-slim-bookworm@sha256:c425d915a89a6dcd3183b1797ad9bd8878caff5a417f6371c8df93c8ea8b727f" }

# Of the images' names, e.g. a registry's path.
variable "PREFIX" { default = "tenfold" }

# What `tenfold images tag` prints.
variable "TAG" { default = "" }

# Commit that is built, for the label.
variable "REVISION" { default = "" }

# Registry's path of the layers kept between builds; none: no cache.
variable "CACHE" { default = "" }

group "default" {
  targets = ["cpu", "torch", "tensorflow"]
}

group "release" {
  targets = ["release-cpu", "release-torch", "release-tensorflow"]
}

target "image" {
  name = kind
  matrix = {
    kind = ["cpu", "torch", "tensorflow"]
  }
  context    = "."
  dockerfile = "containers/Dockerfile"
  platforms  = ["linux/amd64"]
  args = {
    BASE_IMAGE = BASE_IMAGE
    KIND       = kind
    TAG        = TAG
    REVISION   = REVISION
  }
  tags       = [TAG == "" ? "${PREFIX}/tenfold-python-${kind}" : "${PREFIX}/tenfold-python-${kind}:${TAG}"]
  cache-from = compact([CACHE == "" ? "" : "type=registry,ref=${CACHE}/${kind}:layers"])
}

target "release" {
  name = "release-${kind}"
  matrix = {
    kind = ["cpu", "torch", "tensorflow"]
  }
  inherits = [kind]
  tags     = ["${PREFIX}/tenfold-python-${kind}"]
  output   = ["type=image,push=true,push-by-digest=true,name-canonical=true"]
  attest   = ["type=provenance,mode=max"]
  # A cache that cannot be written costs time, not the build.
  cache-to = compact([CACHE == "" ? "" : "type=registry,ref=${CACHE}/${kind}:layers,mode=max,ignore-error=true"])
}
