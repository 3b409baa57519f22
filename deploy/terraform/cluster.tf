data "aws_iam_policy_document" "assume" {
  for_each = { cluster = "eks.amazonaws.com", node = "ec2.amazonaws.com" }
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = [each.value]
    }
  }
}

resource "aws_iam_role" "eks" {
  for_each           = data.aws_iam_policy_document.assume
  name               = "${var.name}-${each.key}"
  assume_role_policy = each.value.json
}

resource "aws_iam_role_policy_attachment" "eks" {
  for_each = {
    AmazonEKSClusterPolicy             = "cluster"
    AmazonEKSWorkerNodePolicy          = "node"
    AmazonEKS_CNI_Policy               = "node"
    AmazonEC2ContainerRegistryPullOnly = "node"
  }
  role       = aws_iam_role.eks[each.value].name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}

resource "aws_eks_cluster" "this" {
  name                      = var.name
  role_arn                  = aws_iam_role.eks["cluster"].arn
  version                   = var.kubernetes_version
  enabled_cluster_log_types = ["api", "audit", "authenticator"]
  vpc_config {
    subnet_ids              = var.subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = length(var.public_api_cidrs) > 0
    public_access_cidrs     = length(var.public_api_cidrs) > 0 ? var.public_api_cidrs : null
  }
  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = false
  }
  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.this.arn
    }
  }
  depends_on = [aws_iam_role_policy_attachment.eks]
}

resource "aws_eks_access_entry" "admin" {
  for_each      = toset(var.admin_role_arns)
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.value
}

resource "aws_eks_access_policy_association" "admin" {
  for_each      = aws_eks_access_entry.admin
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.value.principal_arn
  policy_arn    = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
  access_scope {
    type = "cluster"
  }
}

# Pods take their roles by IRSA: without a hop to spare, none of them reaches the node's own.
resource "aws_launch_template" "node" {
  name_prefix = "${var.name}-"
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size = var.nodes.disk
      volume_type = "gp3"
      encrypted   = true
    }
  }
}

resource "aws_eks_node_group" "this" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = var.name
  node_role_arn   = aws_iam_role.eks["node"].arn
  subnet_ids      = var.subnet_ids
  instance_types  = [var.nodes.type]
  ami_type        = "AL2023_x86_64_STANDARD"
  launch_template {
    id      = aws_launch_template.node.id
    version = aws_launch_template.node.latest_version
  }
  scaling_config {
    min_size     = var.nodes.min
    desired_size = var.nodes.min
    max_size     = var.nodes.max
  }
  update_config {
    max_unavailable = 1
  }
  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }
  depends_on = [aws_iam_role_policy_attachment.eks]
}

resource "aws_eks_addon" "this" {
  for_each = {
    vpc-cni        = jsonencode({ enableNetworkPolicy = "true" })
    kube-proxy     = null
    coredns        = null
    metrics-server = null # for the HorizontalPodAutoscalers

    aws-ebs-csi-driver = null # for the volumes of itransformer
  }
  cluster_name             = aws_eks_cluster.this.name
  addon_name               = each.key
  configuration_values     = each.value
  service_account_role_arn = each.key == "aws-ebs-csi-driver" ? aws_iam_role.pod["volumes"].arn : null
  # EKS makes some by itself, and refuses to take those over, or to undo changes by hand.
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  # No depends_on the nodes: they are not ready before vpc-cni is there.
}
