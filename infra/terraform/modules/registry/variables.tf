variable "project_id" {
  type = string
}

variable "region" {
  type = string
}

variable "name" {
  description = "Name of the repository."
  type        = string
}

variable "kms_key_name" {
  description = "Key of the images; null: Google's own."
  type        = string
}
