variable "project_id" {
  type = string
}

variable "region" {
  type = string
}

variable "name" {
  description = "Name of the cluster, and first part of its network's."
  type        = string
}

variable "runner" {
  description = "Identity that tasks run as."
  type = object({
    id    = string
    email = string
  })
}

variable "images" {
  description = "Name of the repository that nodes pull from."
  type        = string
}

variable "cpu_machine_type" {
  type = string
}

variable "cpu_max_nodes" {
  type = number
}

variable "gpu_zones" {
  description = "Zones that have the GPU."
  type        = set(string)
}

variable "gpu_type" {
  type = string
}

variable "gpu_machine_type" {
  type = string
}

variable "gpu_max_nodes" {
  type = number
}

variable "kfp_version" {
  description = "Tag of kubeflow/pipelines to install."
  type        = string
}
