# What each kind of pod may do in AWS, by its service account (IRSA). Services read their data, and
# get artifacts through MLflow, or by themselves (direct_artifacts).
resource "aws_iam_openid_connect_provider" "this" {
  url            = aws_eks_cluster.this.identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]
}

locals {
  issuer = trimprefix(aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://")
  pods = {
    mlflow  = { prefixes = ["mlflow"], actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"] }
    service = { prefixes = var.direct_artifacts ? ["data", "mlflow"] : ["data"], actions = ["s3:GetObject"] }
    backup  = { prefixes = ["*"], actions = ["s3:GetObject"] }
    trainer = { prefixes = ["data"], actions = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"] }
  }
  accounts = merge(
    { for name, _ in local.pods : name => "${var.namespace}:${name}" },
    { volumes = "kube-system:ebs-csi-controller-sa", autoscaler = "kube-system:cluster-autoscaler" },
  )
}

data "aws_iam_policy_document" "pod_assume" {
  for_each = local.accounts
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.this.arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = ["system:serviceaccount:${each.value}"]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "pod" {
  for_each = local.pods
  statement {
    sid       = "Objects"
    actions   = each.value.actions
    resources = [for prefix in each.value.prefixes : "${aws_s3_bucket.this.arn}/${prefix}/*"]
  }
  statement {
    sid       = "Names"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = flatten([for prefix in each.value.prefixes : [prefix, "${prefix}/*"]])
    }
  }
  statement {
    sid       = "Key"
    actions   = contains(each.value.actions, "s3:PutObject") ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]
    resources = [aws_kms_key.this.arn]
  }
}

resource "aws_iam_role" "pod" {
  for_each           = local.accounts
  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.pod_assume[each.key].json
}

resource "aws_iam_role_policy_attachment" "volumes" {
  role       = aws_iam_role.pod["volumes"].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
}

# Recorded calls: services write them, and read none, unless their admissions replay them.
data "aws_iam_policy_document" "recordings" {
  statement {
    sid       = "Write"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.this.arn}/recordings/*"]
  }
  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.this.arn]
  }
}

data "aws_iam_policy_document" "replays" {
  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.this.arn}/recordings/*"]
  }
  statement {
    sid       = "Names"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["recordings/*"]
    }
  }
}

resource "aws_iam_role_policy" "recordings" {
  name   = "recordings"
  role   = aws_iam_role.pod["service"].id
  policy = data.aws_iam_policy_document.recordings.json
}

resource "aws_iam_role_policy" "replays" {
  count  = var.replays_at_admission ? 1 : 0
  name   = "replays"
  role   = aws_iam_role.pod["service"].id
  policy = data.aws_iam_policy_document.replays.json
}

# What the Cluster Autoscaler may do: look at all groups of nodes, change those of this cluster.
data "aws_iam_policy_document" "autoscaler" {
  statement {
    sid = "Look"
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeAutoScalingInstances",
      "autoscaling:DescribeLaunchConfigurations",
      "autoscaling:DescribeScalingActivities",
      "ec2:DescribeImages",
      "ec2:DescribeInstanceTypes",
      "ec2:DescribeLaunchTemplateVersions",
      "ec2:GetInstanceTypesFromInstanceRequirements",
      "eks:DescribeNodegroup",
    ]
    resources = ["*"]
  }
  statement {
    sid       = "Change"
    actions   = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/k8s.io/cluster-autoscaler/${var.name}"
      values   = ["owned"]
    }
  }
}

resource "aws_iam_role_policy" "autoscaler" {
  name   = "nodes"
  role   = aws_iam_role.pod["autoscaler"].id
  policy = data.aws_iam_policy_document.autoscaler.json
}

resource "aws_iam_role_policy" "pod" {
  for_each = local.pods
  name     = "bucket"
  role     = aws_iam_role.pod[each.key].id
  policy   = data.aws_iam_policy_document.pod[each.key].json
}
