output "cluster" {
  description = "aws eks update-kubeconfig --name <this>"
  value       = aws_eks_cluster.this.name
}

output "bucket" {
  description = "For MLFLOW_ARTIFACTS_DESTINATION and ASCENSO_DATA."
  value       = aws_s3_bucket.this.bucket
}

output "database" {
  description = "For PGHOST."
  value       = aws_db_instance.this.address
}

output "database_secret" {
  description = "Where AWS keeps the password of the user postgres."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "repositories" {
  description = "For `images` of deploy/k8s/overlays/production."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}

output "roles" {
  description = "For the annotations of the service accounts."
  value       = { for name, role in aws_iam_role.pod : name => role.arn }
}
