terraform {
  # 1.9 is the first whose validations may look at another variable.
  required_version = ">= 1.9"

  # 8.0.0 is of 26 August 2026, 8.9 was the newest found in November 2026:
  # newreleases.io/project/github/hashicorp/terraform-provider-google
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.0"
    }
    google-beta = {
      source  = "hashicorp/google-beta"
      version = "~> 8.0"
    }
  }

  # The bucket is named at `terraform init`: a configuration cannot make the bucket
  # its own state lies in.
  backend "gcs" {
    prefix = "tenfold"
  }
}

# The budget's API bills its calls to a project, which personal credentials do not name.
provider "google" {
  project               = var.project_id
  region                = var.region
  billing_project       = var.project_id
  user_project_override = true
}

provider "google-beta" {
  project               = var.project_id
  region                = var.region
  billing_project       = var.project_id
  user_project_override = true
}
