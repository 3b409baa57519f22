"""The whole of Ascenso on one machine: S3, MLflow and the services, supervised."""
