"""What every size of a model means, in a line: the flags' help."""

ARGUMENT_HELP = {
    "batch_norm": "Normalise every dense layer over the batch before its ReLU.",
    "dbof_activation": "What projection and hidden layer of DBoF end in: relu6 "
    "or sigmoid.",
    "dbof_add_batch_norm": "Batch norms in the DBoF models; biases otherwise.",
    "dbof_cluster_size": "Clusters of the DBoF models (of the first feature in "
    "the LF ones).",
    "dbof_hidden_size": "Width of the DBoF models' hidden layer, the "
    "embedding.",
    "dbof_pooling_method": "How DBoF pools over frames: max or average.",
    "dbof_relu": "Batch norm and relu6 in place of the hidden layer's bias "
    "(Soft, Gated DBoF).",
    "dropout": "Share of values dropped in training; where, the model's "
    "docstring says.",
    "fv_add_batch_norm": "Batch norms in NetFV; biases otherwise.",
    "fv_cluster_size": "Clusters of NetFV for the first feature; later ones "
    "get half.",
    "fv_couple_weights": "Take NetFV's centres from the assignment's matrix.",
    "fv_coupling_factor": "Factor of that matrix where weights are coupled.",
    "fv_hidden_size": "Width of NetFV's hidden layer, the embedding.",
    "fv_relu": "Batch norm and relu6 in place of NetFV's hidden bias.",
    "gating": "Context gating of the hidden layer.",
    "gating_reduction": "How many times narrower the gating's middle layer is.",
    "gating_remove_diag": "Let no value have a say in its own gate (context "
    "gating).",
    "gru_cells": "Cells of every GRU layer.",
    "gru_layers": "GRU layers stacked on one another.",
    "hidden_dropout": "Share of values dropped before each dense layer after "
    "the first and before the classifier.",
    "hidden_size": "Width of the dense layer before the classifier.",
    "hidden_sizes": "Widths of the dense layers before the classifier, "
    "comma-separated.",
    "input_batch_norm": "Normalise every input feature over real frames.",
    "input_dropout": "Share of input features dropped in training.",
    "lightvlad": "NetVLAD without centres (NetRVLAD).",
    "logistic_l2": "L2 penalty of the logistic classifier's matrix.",
    "lstm_cells": "Cells of every LSTM layer.",
    "lstm_layers": "LSTM layers stacked on one another.",
    "mask_padding": "Leave padding out of pooling and batch statistics.",
    "moe_l2": "L2 penalty of the mixture of experts' matrices.",
    "moe_low_rank_gating": "Columns the gates' matrix is factored through; 0: "
    "whole.",
    "moe_num_mixtures": "Experts per class of the mixture of experts.",
    "moe_prob_gating": "Context gating of the mixture of experts' "
    "probabilities.",
    "moe_prob_gating_remove_diag": "Let no class have a say in its own "
    "probability gate.",
    "netvlad_add_batch_norm": "Batch norms in NetVLAD; biases otherwise.",
    "netvlad_cluster_size": "Clusters of NetVLAD for the first feature; later "
    "ones get half.",
    "netvlad_hidden_size": "Width of NetVLAD's hidden layer, the embedding.",
    "netvlad_relu": "Batch norm and relu6 in place of NetVLAD's hidden bias.",
    "nextvlad_cluster_size": "NeXtVLAD: clusters of the first feature; later "
    "ones have half.",
    "nextvlad_expansion": "NeXtVLAD: expanded width of a feature over its own.",
    "nextvlad_groups": "NeXtVLAD: groups of the first feature; later ones have "
    "half.",
    "nextvlad_hidden_size": "NeXtVLAD: width of the embedding.",
    "num_inputs_to_lstm": "Blocks the video is cut into: what the upper LSTM "
    "reads.",
    "recurrent_pooling": "state: final state (GRU: of all layers); mean: of "
    "the last layer's outputs over real frames.",
    "reversed_time": "Read the real frames last to first.",
    "sample_at_evaluation": "Draw frames outside training too.",
    "sample_frames": "Frames drawn of each video in training; 0: all.",
    "sample_random_frames": "Draw frames one by one; otherwise a run of "
    "consecutive ones.",
    "softdbof_maxpool": "Pool the maxima of Soft DBoF's shares too.",
    "stream_cells": "LSTM cells of each feature's stream, comma-separated; the "
    "last serves further features.",
    "stream_input_size": "Width of the dense layer each stream begins with.",
    "tower_sizes": "Widths of the dense layers of each feature's tower, "
    "comma-separated.",
    "video_level_classifier_model": "Classifier of a frame-level model.",
}
