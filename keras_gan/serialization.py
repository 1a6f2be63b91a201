"""How a GAN is saved by its parts and built again from them, as Keras asks."""

import keras


class Serializable:
    """The configuration of a `gan.GAN`: of its networks, and of `compile`.

    Keras loads a model by `from_config`, then `compile_from_config`, then its weights.
    Those of the optimizers are among them, so that both have to exist by then.
    """

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        config = {
            "name": self.name,
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
            "latent_prior": serialize(self.latent_prior),
            "value_range": self.value_range,
            "seed": self.seed,
            # Part of the architecture: it has weights of its own.
            "averaged": self.averaged_generator is not None,
        }
        if self.further_networks:
            config["players"] = {
                name: serialize(network)
                for name, network in self.further_networks.items()
            }
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        averaged = config.pop("averaged", False)
        for key in ("generator", "discriminator", "latent_prior", "players", "encoder"):
            if key in config:
                config[key] = keras.saving.deserialize_keras_object(
                    config[key], custom_objects=custom_objects
                )
        gan = cls(**config)
        if averaged:
            gan._keep_average(decay=0.5)  # `compile` sets it
        return gan

    def get_compile_config(self):
        if not self.compiled:
            return None
        return keras.saving.serialize_keras_object(self._compile_arguments)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
