"""Operations of the engine on GPUs: `cuda/NAME.cu`, launched by the module of the same name."""
