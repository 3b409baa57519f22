variable "name" {
  description = "What everything is called."
  type        = string
  default     = "ascenso"
}

variable "region" {
  description = "Where everything lies."
  type        = string
  default     = "us-east-1"
}

variable "vpc_id" {
  description = "A VPC with private subnets that reach the internet or the endpoints of ECR, S3 and STS."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in two zones or more."
  type        = list(string)
  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "EKS and a standby database need subnets in two zones."
  }
}

variable "admin_role_arns" {
  description = "Roles of the people who may administer the cluster."
  type        = list(string)
}

variable "public_api_cidrs" {
  description = "Addresses that reach the cluster's API from the internet; none: only from the VPC."
  type        = list(string)
  default     = []
}

variable "namespace" {
  description = "The namespace of the chart (deploy/helm/namespace.yaml)."
  type        = string
  default     = "ascenso"
}

variable "direct_artifacts" {
  description = "Let services fetch artifacts from the bucket, as the chart's store.artifacts: s3 wants."
  type        = bool
  default     = false
}

variable "recordings_days" {
  description = "How long recorded calls are kept (docs/recording.md)."
  type        = number
  default     = 30
}

variable "replays_at_admission" {
  description = "Let services read recorded calls, as admission.replay wants."
  type        = bool
  default     = false
}

variable "kubernetes_version" {
  description = "The minor version of the cluster."
  type        = string
  default     = "1.36"
}

variable "nodes" {
  description = "Machines: all services, MLflow and Redis fit in three of 4 CPU and 16 GiB."
  type = object({
    type = optional(string, "m7i.xlarge")
    min  = optional(number, 3)
    max  = optional(number, 8)
    disk = optional(number, 100)
  })
  default = {}
}

variable "database" {
  description = "PostgreSQL: a registry of some 10,000 versions needs no more than this."
  type = object({
    class   = optional(string, "db.t4g.medium")
    version = optional(string, "15")
    gib     = optional(number, 50)
    standby = optional(bool, true)
    backups = optional(number, 14)
  })
  default = {}
}
