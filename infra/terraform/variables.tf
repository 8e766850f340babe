variable "project_id" {
  description = "Project that everything is made in; it must exist and have billing."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "This is no project id: give the id, neither the number nor the name."
  }
}

variable "region" {
  description = "Region of buckets, images, runs and the cluster, e.g. europe-west4."
  type        = string
}

variable "name" {
  description = "First part of all names; also what tells two installations apart."
  type        = string
  default     = "tenfold"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,18}$", var.name))
    error_message = "Use 3 to 19 lower-case letters, digits and hyphens: identities are called NAME-submitter, and have 30."
  }
}

variable "billing_account" {
  description = "Billing account of the project, XXXXXX-XXXXXX-XXXXXX; the budget hangs on it."
  type        = string
}

variable "budget_amount" {
  description = "Monthly spend, in the billing account's currency, that alerts are shares of. There is no default: nobody else can know it."
  type        = number

  validation {
    condition     = var.budget_amount > 0 && floor(var.budget_amount) == var.budget_amount
    error_message = "A budget is a whole number above zero."
  }
}

variable "kms_key_name" {
  description = "Cloud KMS key (projects/…/cryptoKeys/…, of the same region) for buckets, images and runs; null: Google's own keys."
  type        = string
  default     = null
}

variable "submitters" {
  description = "Who may act as the submitter, e.g. [\"group:vision@example.org\"]."
  type        = set(string)
  default     = []
}

variable "github_repository_id" {
  description = "Number of the GitHub repository whose CI may act as builder and submitter (gh api repos/OWNER/NAME --jq .id); null: no CI may."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository_id == null || can(regex("^[0-9]+$", var.github_repository_id))
    error_message = "Give the number: a name can be given up and taken by somebody else."
  }
}

variable "branch" {
  description = "Branch that images are built from and CI may act from."
  type        = string
  default     = "main"
}

variable "build_repository" {
  description = "Repository connected to Cloud Build (projects/…/locations/REGION/connections/…/repositories/…); null: no trigger."
  type        = string
  default     = null
}

variable "smoke_run" {
  description = "Whether builds end with a smoke run on Vertex AI, which costs money; the builder may then submit."
  type        = bool
  default     = false
}

variable "create_cluster" {
  description = "Whether to make a GKE cluster for Kubeflow Pipelines, which costs money even when idle."
  type        = bool
  default     = false
}

variable "gpu_zones" {
  description = "Zones of the region that have the GPU (gcloud compute accelerator-types list --filter=name=GPU_TYPE)."
  type        = set(string)
  default     = []

  validation {
    condition     = !var.create_cluster || length(var.gpu_zones) > 0
    error_message = "A cluster needs gpu_zones: not every zone of a region has every GPU."
  }

  validation {
    condition     = alltrue([for zone in var.gpu_zones : startswith(zone, "${var.region}-")])
    error_message = "gpu_zones must be zones of region."
  }
}

variable "gpu_type" {
  description = "GPU of the cluster's pool, as GKE says it; recipes ask for it as NVIDIA_TESLA_T4."
  type        = string
  default     = "nvidia-tesla-t4"
}

variable "gpu_machine_type" {
  description = "Machine of the GPU pool; more than a task's 8 cores, since the node keeps some."
  type        = string
  default     = "n1-standard-16"
}

variable "gpu_max_nodes" {
  description = "Most GPU nodes at once; each trains one fold."
  type        = number
  default     = 4
}

variable "cpu_machine_type" {
  description = "Machine of the CPU pool; more than a task's 8 cores and 30 GB."
  type        = string
  default     = "e2-standard-16"
}

variable "cpu_max_nodes" {
  description = "Most CPU nodes at once; one is always there."
  type        = number
  default     = 3
}

variable "kfp_version" {
  description = "Tag of kubeflow/pipelines that the printed commands install."
  type        = string
  default     = "2.17.0"
}
