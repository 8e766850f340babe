# Who may do what. docs/terraform.md says why, line by line.
locals {
  identities = {
    runner    = "Tasks run as this"
    submitter = "Runs are submitted as this"
    builder   = "Images are built as this"
  }

  # A build is one identity from its first step to its smoke run.
  submits = var.smoke_run ? ["submitter", "builder"] : ["submitter"]

  on_project = {
    "roles/aiplatform.user"   = concat(["runner"], local.submits)
    "roles/logging.logWriter" = ["runner", "builder"]
  }

  on_images = {
    runner    = "roles/artifactregistry.reader"
    submitter = "roles/artifactregistry.reader"
    builder   = "roles/artifactregistry.writer"
  }

  on_buckets = {
    data = {
      "roles/storage.objectViewer"       = ["runner"]
      "roles/storage.legacyBucketReader" = ["runner"]
    }
    store = {
      "roles/storage.objectUser"         = ["runner"]
      "roles/storage.objectViewer"       = local.submits
      "roles/storage.legacyBucketReader" = ["runner"]
    }
    pipelines = {
      "roles/storage.objectUser"         = ["runner"]
      "roles/storage.objectViewer"       = local.submits
      "roles/storage.legacyBucketReader" = concat(["runner"], local.submits)
    }
  }

  # A training is a custom job that a task of the run starts, and it names the runner
  # again: the identity of a run is not inherited.
  runs_as_runner = concat(["runner"], local.submits)

  project_grants = merge([
    for role, whos in local.on_project : {
      for who in whos : "${who} ${role}" => { who = who, role = role }
    }
  ]...)

  bucket_grants = merge(flatten([
    for bucket, roles in local.on_buckets : [
      for role, whos in roles : {
        for who in whos : "${who} ${bucket} ${role}" => { who = who, bucket = bucket, role = role }
      }
    ]
  ])...)
}
