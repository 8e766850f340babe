variable "project_id" {
  type = string
}

variable "region" {
  type = string
}

variable "name" {
  description = "First part of the trigger's name."
  type        = string
}

variable "repository" {
  description = "Repository connected to Cloud Build."
  type        = string
}

variable "branch" {
  description = "Branch whose pushes are built."
  type        = string
}

variable "service_account" {
  description = "Id of the identity that builds."
  type        = string
}

variable "images" {
  description = "Prefix of the images' names."
  type        = string
}

variable "compiled" {
  description = "Folder of a bucket for compiled pipelines."
  type        = string
}

variable "smoke_run" {
  description = "Whether a build ends with a smoke run on Vertex AI."
  type        = bool
}
