output "cluster" {
  description = "aws eks update-kubeconfig --name <this>"
  value       = aws_eks_cluster.this.name
}

output "bucket" {
  description = "For store.bucket."
  value       = aws_s3_bucket.this.bucket
}

output "database" {
  description = "For database.host."
  value       = aws_db_instance.this.address
}

output "database_secret" {
  description = "Where AWS keeps the password of the user postgres."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "repositories" {
  description = "For images.registry of deploy/helm/production.yaml."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}

output "roles" {
  description = "For accounts, the annotations of the service accounts."
  value       = { for name, role in aws_iam_role.pod : name => role.arn }
}
