"""The bucket that artifacts and data lie in."""

from collections.abc import Mapping

import boto3
from botocore.config import Config

from deploy.local.settings import BUCKET


def ensure(access: Mapping[str, str]) -> None:
    """Make the bucket if it is missing. `access` has the AWS SDK's variables."""
    client = boto3.client(
        "s3",
        endpoint_url=access["AWS_ENDPOINT_URL"],
        region_name=access["AWS_DEFAULT_REGION"],
        aws_access_key_id=access["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=access["AWS_SECRET_ACCESS_KEY"],
        config=Config(proxies={}),
    )
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)
